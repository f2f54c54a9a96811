/**
 * Who may call what. Every endpoint declares the permission it needs; one middleware reads that,
 * asks `Authority` who presents the token, and refuses or provides the `Caller`. It owns the
 * decision per request; what a token is worth is `Authority`'s business, so that a token store
 * replaces one layer.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import { Description } from "effect/http-api/OpenApi"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { RootToken, TenantId } from "solo"

import { CurrentRequest } from "./CurrentRequest.ts"
import { invalidRequest } from "./Failures.ts"
import { answers, type Problem, problem } from "./Problem.ts"

/** What a route may require. `public` needs no token at all. */
export type Permission = "deploy" | "kill" | "read" | "invoke" | "root" | "public"

/** The permission an endpoint needs. An endpoint without it is refused at start-up. */
export class RequiredPermission extends Context.Service<RequiredPermission, Permission>()(
  "solo/plugins/http/Authorization/RequiredPermission",
) {}

/** Who is calling. */
export class Caller extends Context.Service<
  Caller,
  {
    /** The tenant it acts for: the token's own, or the one a root token named; else `null`. */
    readonly tenantId: TenantId | null
    /** The id of the token, for events. */
    readonly actor: string
    readonly isRoot: boolean
  }
>()("solo/plugins/http/Authorization/Caller") {}

/** What a presented token is worth. */
export interface Identity {
  /** The only tenant the token is good for, or `null` when it may name one. */
  readonly tenantId: TenantId | null
  readonly actor: string
  readonly isRoot: boolean
  readonly holds: (permission: Permission) => boolean
}

/** Knows tokens. */
export class Authority extends Context.Service<
  Authority,
  {
    /** Whose token that is, or `undefined` when it is nobody's. */
    readonly identify: (presented: Redacted.Redacted<string>) => Effect.Effect<Identity | undefined>
  }
>()("solo/plugins/http/Authorization/Authority") {
  /** Knows the root token alone. */
  static readonly layerRoot: Layer.Layer<Authority, never, RootToken> = Layer.effect(
    Authority,
    Effect.map(RootToken, (rootToken) => {
      const root = Effect.succeed<Identity>({
        tenantId: null,
        actor: "root",
        isRoot: true,
        holds: () => true,
      })
      const nobody = Effect.undefined
      return Authority.of({
        identify: (presented) => (rootToken.verify(presented) ? root : nobody),
      })
    }),
  )
}

/** The token in an `Authorization` header; empty when there is none. */
export const bearerToken = (header: string | undefined): Redacted.Redacted<string> =>
  Redacted.make(/^bearer +([^\s,]+) *$/i.exec(header ?? "")?.[1] ?? "")

const isTenantId = Schema.is(TenantId)

const malformedTenant = invalidRequest([
  {
    path: ["headers", "x-tenant-id"],
    message: "Expected 1 to 128 characters out of A-Z, a-z, 0-9, _ and -",
  },
])

const noToken = problem(
  "unauthenticated",
  "no bearer token: send the header Authorization: Bearer <token>",
)
const unknownToken = problem("unauthenticated", "the token is not valid in this kernel")

/** The caller behind `token`, if it holds `permission`. `tenant` is what X-Tenant-ID says. */
export const admit = (
  authority: Authority["Service"],
  token: Redacted.Redacted<string>,
  permission: Permission,
  tenant: string | undefined,
): Effect.Effect<Caller["Service"], Problem> =>
  Redacted.value(token) === ""
    ? Effect.fail(noToken)
    : Effect.flatMap(authority.identify(token), (identity) => {
        if (identity === undefined) return Effect.fail(unknownToken)
        if (!identity.holds(permission)) {
          return Effect.fail(
            problem("forbidden", `the token does not hold the permission ${permission}`),
          )
        }
        const { actor, isRoot } = identity
        if (identity.tenantId !== null || tenant === undefined) {
          return Effect.succeed({ tenantId: identity.tenantId, actor, isRoot })
        }
        return isTenantId(tenant)
          ? Effect.succeed({ tenantId: tenant, actor, isRoot })
          : Effect.fail(malformedTenant)
      })

/** The middleware of every endpoint that is not public. */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: Caller }>()(
  "solo/plugins/http/Authorization",
  {
    security: {
      token: HttpApiSecurity.bearer.pipe(
        HttpApiSecurity.annotate(
          Description,
          "A token of this kernel. A root token names the tenant it acts for in X-Tenant-ID.",
        ),
      ),
    },
    error: answers("invalid-request", "unauthenticated", "forbidden"),
  },
) {
  static readonly layer: Layer.Layer<Authorization, never, Authority> = Layer.effect(
    Authorization,
    Effect.map(Authority, (authority) =>
      Authorization.of({
        token: (handled, { endpoint }) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
            Effect.flatMap(
              admit(
                authority,
                bearerToken(headers["authorization"]),
                Context.getUnsafe(endpoint.annotations, RequiredPermission),
                headers["x-tenant-id"],
              ),
              (caller) =>
                Effect.flatMap(CurrentRequest, (record) => {
                  record.tenantId = caller.tenantId
                  return Effect.provideService(handled, Caller, caller)
                }),
            ),
          ),
      }),
    ),
  )
}

/** The tenant the caller acts for; a problem when a root token named none. */
export const callingTenant: Effect.Effect<
  { readonly tenantId: TenantId; readonly actor: string },
  Problem,
  Caller
> = Effect.flatMap(Caller, ({ actor, tenantId }) =>
  tenantId === null
    ? Effect.fail(
        problem("tenant-required", "a root token must name a tenant in the header X-Tenant-ID"),
      )
    : Effect.succeed({ tenantId, actor }),
)

/** An endpoint whose declaration and guard disagree. The gateway does not start with one. */
export class UnguardedEndpoint extends Schema.TaggedError<UnguardedEndpoint>()(
  "UnguardedEndpoint",
  { endpoint: Schema.String, reason: Schema.String },
) {
  override get message(): string {
    return `${this.endpoint} ${this.reason}`
  }
}

/** Fails for the first endpoint of `api` that declares no permission, or is not guarded by it. */
export const checkGuards = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
): Effect.Effect<void, UnguardedEndpoint> =>
  Effect.suspend(() => {
    const wrong: Array<UnguardedEndpoint> = []
    HttpApi.reflect(api, {
      onGroup: () => {},
      onEndpoint: ({ endpoint, middleware }) => {
        const declared = Context.getOrUndefined(endpoint.annotations, RequiredPermission)
        const guarded = [...middleware].some(({ key }) => key === Authorization.key)
        const reason =
          declared === undefined
            ? "declares no permission: annotate it with RequiredPermission"
            : guarded === (declared === "public")
              ? `needs ${declared} but is ${guarded ? "" : "not "}guarded by Authorization`
              : undefined
        if (reason !== undefined) {
          wrong.push(
            new UnguardedEndpoint({ endpoint: `${endpoint.method} ${endpoint.path}`, reason }),
          )
        }
      },
    })
    return wrong[0] === undefined ? Effect.void : Effect.fail(wrong[0])
  })
