/**
 * Which token each route needs. Every endpoint declares a permission and what it acts on; one
 * middleware reads that, and refuses the request or provides the `Caller`. An endpoint without a
 * declaration, or without the guard, is refused at start-up.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import { Description } from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { CapabilityManager, type Permission, type ServiceId, type Target } from "solo"

import { admit, bearerToken, Caller, namedTenant } from "./Caller.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { LoadShedder } from "./LoadShedder.ts"
import { answers } from "./Problem.ts"

/**
 * What a route asks of the token. `public` asks for none, `self` for any that is good. It acts on
 * the tenant as a whole, on the service its path names, or on what the token itself is bound to:
 * with `own` the handler keeps a token that is bound to a service to that service.
 */
export type Guard =
  | { readonly permission: "public" }
  | { readonly permission: Permission | "self"; readonly on: "tenant" | "service" | "own" }

/** The guard of an endpoint. An endpoint without it is refused at start-up. */
export class RequiredPermission extends Context.Service<RequiredPermission, Guard>()(
  "solo/plugins/http/Authorization/RequiredPermission",
) {}

/** Declares an endpoint that needs no token. */
export const open: Guard = { permission: "public" }

/** Declares what an endpoint needs. */
export const needs = (
  permission: Permission | "self",
  on: "tenant" | "service" | "own" = "tenant",
): Guard => ({ permission, on })

const targetOf = (
  on: "tenant" | "service" | "own",
  params: Readonly<Record<string, string | undefined>>,
): Target =>
  // What is no id at all is no service that a token could be bound to.
  on === "service" ? { serviceId: (params["serviceId"] ?? "") as ServiceId } : on

/** The middleware of every endpoint that is not public. */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: Caller }>()(
  "solo/plugins/http/Authorization",
  {
    security: {
      token: HttpApiSecurity.bearer.pipe(
        HttpApiSecurity.annotate(
          Description,
          "A token of this kernel. Its tenant is the one acted for. A root token names a tenant in X-Tenant-ID; another token may only name its own there.",
        ),
      ),
    },
    error: answers(
      "invalid-request",
      "unauthenticated",
      "forbidden",
      "rate-exceeded",
      "tenant-overloaded",
      "kernel-overloaded",
    ),
  },
) {
  static readonly layer: Layer.Layer<Authorization, never, CapabilityManager | LoadShedder> =
    Layer.effect(
      Authorization,
      Effect.gen(function* () {
        const manager = yield* CapabilityManager
        const shedder = yield* LoadShedder
        return Authorization.of({
          token: Effect.fnUntraced(function* (handled, { endpoint }) {
            const { headers } = yield* HttpServerRequest.HttpServerRequest
            const { params } = yield* HttpRouter.RouteContext
            const guard = Context.getUnsafe(endpoint.annotations, RequiredPermission)
            if (guard.permission === "public") {
              return yield* Effect.die(new Error(`${endpoint.path} is public yet guarded`))
            }
            const caller = yield* admit(manager, bearerToken(headers["authorization"]), {
              permission: guard.permission,
              on: targetOf(guard.on, params),
              tenantId: yield* namedTenant(headers),
            })
            const record = yield* CurrentRequest
            record.tenantId = caller.tenantId
            yield* shedder.enter(caller, "api")
            return yield* Effect.provideService(handled, Caller, caller)
          }),
        })
      }),
    )
}

/** An endpoint whose declaration and guard disagree. The gateway does not start with one. */
export class UnguardedEndpoint extends Schema.TaggedError<UnguardedEndpoint>()(
  "UnguardedEndpoint",
  { endpoint: Schema.String, reason: Schema.String },
) {
  override get message(): string {
    return `${this.endpoint} ${this.reason}`
  }
}

const flawOf = (guard: Guard | undefined, path: string, guarded: boolean): string | undefined => {
  if (guard === undefined) return "declares no permission: annotate it with RequiredPermission"
  if (guarded === (guard.permission === "public")) {
    return `needs ${guard.permission} but is ${guarded ? "" : "not "}guarded by Authorization`
  }
  return guard.permission !== "public" && guard.on === "service" && !path.includes(":serviceId")
    ? "acts on a service, but its path names none"
    : undefined
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
        const guard = Context.getOrUndefined(endpoint.annotations, RequiredPermission)
        const guarded = [...middleware].some(({ key }) => key === Authorization.key)
        const reason = flawOf(guard, endpoint.path, guarded)
        if (reason !== undefined) {
          wrong.push(
            new UnguardedEndpoint({ endpoint: `${endpoint.method} ${endpoint.path}`, reason }),
          )
        }
      },
    })
    return wrong[0] === undefined ? Effect.void : Effect.fail(wrong[0])
  })
