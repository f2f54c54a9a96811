/**
 * Who is calling: turns a presented token into a caller that may do what its route needs, or into
 * the problem it is. What a token is worth is the capability manager's judgement; what a route
 * needs is the route's declaration.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import {
  actorOf,
  type Bearer,
  type CapabilityManager,
  type Permission,
  type ServiceId,
  type Target,
  GivenTenantId,
  type TenantId,
} from "solo"

import { fromKernel, invalidRequest } from "./Failures.ts"
import { type Problem, problem } from "./Problem.ts"

/** Who is calling. */
export class Caller extends Context.Service<
  Caller,
  {
    /** The tenant it acts for: the token's own, or the one a root token named; else `null`. */
    readonly tenantId: TenantId | null
    /** The only service the token is good for, or `null`. */
    readonly serviceId: ServiceId | null
    /** The id of the token, for events. */
    readonly actor: string
    readonly isRoot: boolean
    readonly bearer: Bearer
    /** Refuses what the token is not good for: for what shows only while a request is carried out. */
    readonly require: (permission: Permission, on: Target) => Effect.Effect<void, Problem>
    /** Whether the token is still good for what it was presented for. For what lasts. */
    readonly isStillGood: Effect.Effect<boolean>
  }
>()("solo/plugins/http/Caller") {}

/** What a request needs: `self` is content with any good token. */
export interface RequestNeed {
  readonly permission: Permission | "self"
  readonly on: Target
  /** The tenant that the request names, where it names one. */
  readonly tenantId?: TenantId | undefined
}

/** The token in an `Authorization` header; empty when there is none. */
export const bearerToken = (header: string | undefined): Redacted.Redacted<string> =>
  Redacted.make(/^bearer +([^\s,]+) *$/i.exec(header ?? "")?.[1] ?? "")

type Headers = Readonly<Record<string, string | undefined>>

/**
 * What a header says, unless that is the token presented beside it: a root token that its operator
 * made up does not look like one.
 */
export const apartFromToken = (headers: Headers, name: string): string | undefined => {
  const text = headers[name]
  if (text === undefined) return undefined
  return text === Redacted.value(bearerToken(headers["authorization"])) ? undefined : text
}

const isTenantId = Schema.is(GivenTenantId)

const malformedTenant = invalidRequest([
  {
    path: ["headers", "x-tenant-id"],
    message: "Expected 1 to 128 characters out of A-Z, a-z, 0-9, _ and -, and no token",
  },
])

/** The tenant that the header X-Tenant-ID names, if it is there. A token is none. */
export const namedTenant = (headers: Headers): Effect.Effect<TenantId | undefined, Problem> => {
  const name = "x-tenant-id"
  if (headers[name] === undefined) return Effect.undefined
  const named = apartFromToken(headers, name)
  return isTenantId(named) ? Effect.succeed(named) : Effect.fail(malformedTenant)
}

const noToken = problem(
  "unauthenticated",
  "no bearer token: send the header Authorization: Bearer <token>",
)

type Manager = CapabilityManager["Service"]

const authorize = (manager: Manager, bearer: Bearer, need: RequestNeed) => {
  if (bearer._tag === "Root") return Effect.void
  const { permissions } = bearer.capability
  const permission = need.permission === "self" ? permissions[0]! : need.permission
  return manager.authorize(bearer, { permission, on: need.on, tenantId: need.tenantId })
}

const callerOf = (
  manager: Manager,
  token: Redacted.Redacted<string>,
  bearer: Bearer,
  need: RequestNeed,
): Caller["Service"] => {
  const isRoot = bearer._tag === "Root"
  return {
    bearer,
    isRoot,
    actor: actorOf(bearer),
    tenantId: isRoot ? (need.tenantId ?? null) : bearer.capability.tenantId,
    serviceId: isRoot ? null : bearer.capability.serviceId,
    require: (permission, on) =>
      Effect.mapError(authorize(manager, bearer, { permission, on }), fromKernel),
    isStillGood: isRoot
      ? // The root token may have been replaced.
        Effect.isSuccess(manager.authenticate(token))
      : Effect.isSuccess(authorize(manager, bearer, need)),
  }
}

/** What a token that names another tenant is told, whether there is such a tenant or not. */
const otherTenant = problem(
  "forbidden",
  "the token is not one of the tenant that X-Tenant-ID names",
)

/**
 * The caller behind `token`, if it may do what `need` says; `elsewhere` when it belongs to another
 * tenant than the request names.
 */
export const admit = (
  manager: Manager,
  token: Redacted.Redacted<string>,
  need: RequestNeed,
  elsewhere: () => Problem = () => otherTenant,
): Effect.Effect<Caller["Service"], Problem> =>
  Redacted.value(token) === ""
    ? Effect.fail(noToken)
    : Effect.mapError(
        Effect.flatMap(manager.authenticate(token), (bearer) =>
          Effect.as(authorize(manager, bearer, need), callerOf(manager, token, bearer, need)),
        ),
        (error) =>
          error._tag === "Forbidden" && error.reason === "tenant" ? elsewhere() : fromKernel(error),
      )

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
