/**
 * What the bearer of a token may do, and the rule that a token made from another is never wider.
 * It owns the shape, the bounds and the judgement; keeping tokens and presenting them is the
 * kernel's business.
 *
 * Times are milliseconds since the epoch.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { between } from "./Bounds.ts"
import { GivenServiceId, ServiceId, TenantId } from "./Identifier.ts"

/** What a route can ask for. `root` is never granted: it is the root token's own. */
export const Permission = Schema.Literals([
  "deploy",
  "kill",
  "read",
  "invoke",
  "grant",
  "secrets",
  "metrics",
  "root",
])
/** @see {@link Permission} */
export type Permission = typeof Permission.Type

/** SHA-256 of a token, in lowercase hex: the token's public name. */
export const TokenHash = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{64}$/, { expected: "64 lowercase hexadecimal digits" }),
).pipe(Schema.brand("TokenHash"))
/** @see {@link TokenHash} */
export type TokenHash = typeof TokenHash.Type

/** How often a token may be presented: a bucket of `requests` that refills evenly. */
export const RateLimit = Schema.Struct({
  requests: between(1, 1_000_000),
  perSeconds: between(1, 86_400),
})
/** @see {@link RateLimit} */
export type RateLimit = typeof RateLimit.Type

/** Longest life of a token: ten years. */
export const maxTtlSeconds = 315_360_000

/** Metadata at most, in UTF-16 code units of its JSON text. */
export const maxMetadata = 4096

/** Whatever the granter wants to remember of a token. Not for secrets: it is listed. */
export const TokenMetadata = Schema.JsonObject.check(
  Schema.makeFilter(
    (value) =>
      JSON.stringify(value).length <= maxMetadata ||
      `metadata of at most ${maxMetadata} characters of JSON`,
  ),
)

const Permissions = Schema.Array(Permission).check(Schema.isMinLength(1), Schema.isUnique())

const terms = {
  /** Binds the token to one service; left out, it is bound as its origin is. */
  serviceId: Schema.optional(GivenServiceId),
  /** Left out, it ends when its origin ends. */
  ttlSeconds: Schema.optional(between(1, maxTtlSeconds)),
  rateLimit: Schema.optional(RateLimit),
  metadata: Schema.optional(TokenMetadata),
}

/** What `POST /v1/tokens` accepts. */
export const TokenRequest = Schema.Struct({ permissions: Permissions, ...terms })
/** @see {@link TokenRequest} */
export type TokenRequest = typeof TokenRequest.Type

/** What `POST /v1/tokens/attenuate` accepts. What is left out stays as it is. */
export const AttenuationRequest = Schema.Struct({
  permissions: Schema.optional(Permissions),
  ...terms,
})
/** @see {@link AttenuationRequest} */
export type AttenuationRequest = typeof AttenuationRequest.Type

/** A capability: everything about a token but the token. */
export const Capability = Schema.Struct({
  tokenHash: TokenHash,
  tenantId: TenantId,
  permissions: Permissions,
  /** The only service it is good for, or `null` for the whole tenant. */
  serviceId: Schema.NullOr(ServiceId),
  grantedAt: Schema.Int,
  /** Id of the token it was granted with. */
  grantedBy: Schema.String,
  /** The first moment at which it is no longer good, or `null`. */
  expiresAt: Schema.NullOr(Schema.Int),
  /** Its own limit. The limits of the tokens it was made from hold as well. */
  rateLimit: Schema.NullOr(RateLimit),
  metadata: TokenMetadata,
  /** The token it was attenuated from: it lives no longer than that one. */
  parent: Schema.NullOr(TokenHash),
})
/** @see {@link Capability} */
export type Capability = typeof Capability.Type

/** The request asks for more than the token it is made with can give. */
export class WouldWiden extends Schema.TaggedError<WouldWiden>()("WouldWiden", {
  dimension: Schema.Literals(["permission", "service", "time", "rate"]),
  message: Schema.String,
}) {}

const ratePerSecond = (rate: RateLimit): number => rate.requests / rate.perSeconds

/** In what way `child` is wider than `parent`, or `undefined` when it is not. */
export const widening = (parent: Capability, child: Capability): WouldWiden | undefined => {
  const refuse = (dimension: WouldWiden["dimension"], message: string) =>
    new WouldWiden({ dimension, message })
  const extra = child.permissions.filter((permission) => !parent.permissions.includes(permission))
  if (extra.length > 0)
    return refuse("permission", `the token presented does not hold ${extra.join(", ")}`)
  if (parent.tenantId !== child.tenantId)
    return refuse("service", "the token presented is bound to another tenant")
  if (parent.serviceId !== null && parent.serviceId !== child.serviceId)
    return refuse("service", `the token presented is bound to the service ${parent.serviceId}`)
  if (parent.expiresAt !== null && (child.expiresAt === null || child.expiresAt > parent.expiresAt))
    return refuse(
      "time",
      "the new token would outlive the one presented; ask for a smaller ttlSeconds",
    )
  if (parent.rateLimit === null) return undefined
  const { requests, perSeconds } = parent.rateLimit
  if (
    child.rateLimit === null ||
    child.rateLimit.requests > requests ||
    ratePerSecond(child.rateLimit) > ratePerSecond(parent.rateLimit)
  )
    return refuse(
      "rate",
      `the token presented is limited to ${requests} requests per ${perSeconds} s`,
    )
  return undefined
}

/** The name and the moment of a new token. */
export interface Minting {
  readonly tokenHash: TokenHash
  readonly now: number
}

const expiry = (ttlSeconds: number | undefined, minting: Minting): number | null =>
  ttlSeconds === undefined ? null : minting.now + ttlSeconds * 1000

const derive = (
  origin: Capability,
  request: AttenuationRequest,
  minting: Minting,
  parent: TokenHash | null,
): Result.Result<Capability, WouldWiden> => {
  const child: Capability = {
    tokenHash: minting.tokenHash,
    tenantId: origin.tenantId,
    permissions: request.permissions ?? origin.permissions,
    serviceId: request.serviceId ?? origin.serviceId,
    grantedAt: minting.now,
    grantedBy: origin.tokenHash,
    expiresAt: expiry(request.ttlSeconds, minting) ?? origin.expiresAt,
    rateLimit: request.rateLimit ?? origin.rateLimit,
    metadata: request.metadata ?? {},
    parent,
  }
  const refusal = widening(origin, child)
  return refusal === undefined ? Result.succeed(child) : Result.fail(refusal)
}

/** A narrower capability, which dies with `parent`. */
export const attenuate = (
  parent: Capability,
  request: AttenuationRequest,
  minting: Minting,
): Result.Result<Capability, WouldWiden> => derive(parent, request, minting, parent.tokenHash)

/** A capability given by a granter: no wider than the granter's own, but with a life of its own. */
export const grantFrom = (
  granter: Capability,
  request: TokenRequest,
  minting: Minting,
): Result.Result<Capability, WouldWiden> => derive(granter, request, minting, null)

/** A capability given by the root token: anything within one tenant but root itself. */
export const grantByRoot = (
  tenantId: TenantId,
  request: TokenRequest,
  minting: Minting,
): Result.Result<Capability, WouldWiden> =>
  request.permissions.includes("root")
    ? Result.fail(
        new WouldWiden({
          dimension: "permission",
          message: "root cannot be granted: there is one root token, and it can be rotated",
        }),
      )
    : Result.succeed({
        tokenHash: minting.tokenHash,
        tenantId,
        permissions: request.permissions,
        serviceId: request.serviceId ?? null,
        grantedAt: minting.now,
        grantedBy: rootActor,
        expiresAt: expiry(request.ttlSeconds, minting),
        rateLimit: request.rateLimit ?? null,
        metadata: request.metadata ?? {},
        parent: null,
      })

/**
 * What a request is about: `tenant` the tenant as a whole, which a token bound to one service may
 * not touch; one service; or `own`, whatever the token itself is bound to.
 */
export type Target = "tenant" | "own" | { readonly serviceId: ServiceId }

/** What a request needs. */
export interface Need {
  readonly permission: Permission
  readonly on: Target
  /** The tenant the request names, where it names one. */
  readonly tenantId?: TenantId | undefined
}

/** Why a token is not good for a request. */
export type DenialReason = "expired" | "tenant" | "permission" | "service"

/** Whether the capability has ended by `now`. */
export const isExpired = (capability: Capability, now: number): boolean =>
  capability.expiresAt !== null && capability.expiresAt <= now

/** Why `capability` is not good for `need` at `now`, or `undefined` when it is. */
export const denial = (
  capability: Capability,
  need: Need,
  now: number,
): DenialReason | undefined => {
  if (isExpired(capability, now)) return "expired"
  if (need.tenantId !== undefined && need.tenantId !== capability.tenantId) return "tenant"
  if (!capability.permissions.includes(need.permission)) return "permission"
  if (capability.serviceId === null || need.on === "own") return undefined
  return need.on !== "tenant" && need.on.serviceId === capability.serviceId ? undefined : "service"
}

/** Who presents a token: the root token, good for everything, or a capability. */
export type Bearer =
  | { readonly _tag: "Root" }
  | { readonly _tag: "Tenant"; readonly capability: Capability }

/** The bearer of the root token. */
export const root: Bearer = { _tag: "Root" }

/** How the root token is named where tokens go by their hash. */
export const rootActor = "root"

/** The id under which what a bearer does is recorded. */
export const actorOf = (bearer: Bearer): string =>
  bearer._tag === "Root" ? rootActor : bearer.capability.tokenHash
