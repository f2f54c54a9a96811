/**
 * A capability as a row of the table `tokens`, in both directions, and the check that rows read
 * together fit together. Whatever is written or read is checked by schema.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import {
  Capability,
  isExpired,
  RateLimit,
  type TokenHash,
  widening,
} from "../../domain/Capability.ts"

const { fields } = Capability

/** The columns of `tokens`; lists and records are JSON texts. */
const TokenRow = Schema.Struct({
  token_hash: fields.tokenHash,
  tenant_id: fields.tenantId,
  permissions: Schema.fromJsonString(fields.permissions),
  service_id: fields.serviceId,
  granted_at: fields.grantedAt,
  granted_by: fields.grantedBy,
  expires_at: fields.expiresAt,
  rate_limit: Schema.NullOr(Schema.fromJsonString(RateLimit)),
  metadata: Schema.fromJsonString(fields.metadata),
  parent: fields.parent,
})

const decode = Schema.decodeUnknownResult(TokenRow)
const encode = Schema.encodeUnknownResult(TokenRow)

/** The row to insert, or why the capability is none. */
export const toTokenRow = (
  capability: Capability,
): Result.Result<typeof TokenRow.Encoded, string> => {
  const encoded = encode({
    token_hash: capability.tokenHash,
    tenant_id: capability.tenantId,
    permissions: capability.permissions,
    service_id: capability.serviceId,
    granted_at: capability.grantedAt,
    granted_by: capability.grantedBy,
    expires_at: capability.expiresAt,
    rate_limit: capability.rateLimit,
    metadata: capability.metadata,
    parent: capability.parent,
  })
  return Result.mapError(encoded, (error) => error.message)
}

/** The capability of a row, or why it cannot be read. */
export const fromTokenRow = (row: unknown): Result.Result<Capability, string> => {
  const decoded = decode(row)
  if (Result.isFailure(decoded)) return Result.fail(decoded.failure.message)
  const columns = decoded.success
  return Result.succeed({
    tokenHash: columns.token_hash,
    tenantId: columns.tenant_id,
    permissions: columns.permissions,
    serviceId: columns.service_id,
    grantedAt: columns.granted_at,
    grantedBy: columns.granted_by,
    expiresAt: columns.expires_at,
    rateLimit: columns.rate_limit,
    metadata: columns.metadata,
    parent: columns.parent,
  })
}

/** What came of rows that were read together. */
interface Lineage {
  /** Parents before their children. */
  readonly good: ReadonlyArray<Capability>
  readonly expired: number
  readonly orphans: ReadonlyArray<readonly [tokenHash: TokenHash, reason: string]>
}

/**
 * Keeps the capabilities that are good at `now` and whose whole ancestry is: a token outlives
 * neither its parent nor its parent's bounds, whatever a damaged row says.
 */
export const lineage = (capabilities: ReadonlyMap<TokenHash, Capability>, now: number): Lineage => {
  const verdicts = new Map<TokenHash, string | undefined>()
  const good: Array<Capability> = []
  const orphans: Array<readonly [TokenHash, string]> = []
  let expired = 0

  const settle = (capability: Capability, verdict: string | undefined): void => {
    verdicts.set(capability.tokenHash, verdict)
    if (verdict === undefined) good.push(capability)
    else if (isExpired(capability, now)) expired++
    else orphans.push([capability.tokenHash, verdict])
  }
  const judge = (capability: Capability): string | undefined => {
    if (isExpired(capability, now)) return "expired"
    if (capability.parent === null) return undefined
    const parent = capabilities.get(capability.parent)
    if (parent === undefined) return "the token it was made from is not there"
    if (verdicts.get(parent.tokenHash) !== undefined)
      return "the token it was made from cannot be used"
    return widening(parent, capability)?.message
  }

  for (const start of capabilities.values()) {
    // Up to the first ancestor that is settled or missing, then down again. The set ends a cycle.
    const path = new Set<Capability>()
    let next: Capability | undefined = start
    while (next !== undefined && !verdicts.has(next.tokenHash) && !path.has(next)) {
      path.add(next)
      next = next.parent === null ? undefined : capabilities.get(next.parent)
    }
    const cyclic = next !== undefined && path.has(next)
    for (const capability of [...path].toReversed())
      settle(capability, cyclic ? "it descends from itself" : judge(capability))
  }
  return { good, expired, orphans }
}
