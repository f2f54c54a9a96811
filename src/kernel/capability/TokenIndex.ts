/**
 * Every token that is good, in memory: what makes a check free of I/O. It owns the family tree of
 * tokens and their order within a tenant; it decides nothing.
 */
import type { RateLimiter } from "effect/persistence/RateLimiter"

import type { Capability, TokenHash } from "../../domain/Capability.ts"
import type { TenantId } from "../../domain/Identifier.ts"

/** A token in memory. */
export interface TokenEntry {
  readonly capability: Capability
  readonly parent: TokenEntry | undefined
  readonly children: Set<TokenEntry>
  /** How often it was attenuated from a granted token: 0 for a granted one. */
  readonly depth: number
  /** Whether its row is on disk. */
  durable: boolean
  /** Counts its presentations, from the first one on. */
  limiter: RateLimiter | undefined
}

/** Tokens by hash, family and tenant. */
export interface TokenIndex {
  /** The entry of a hash. Where two hashes differ does not show in the time it takes. */
  readonly find: (tokenHash: string) => TokenEntry | undefined
  /** Adds a token; `undefined` when its parent is not here. */
  readonly add: (capability: Capability, durable: boolean) => TokenEntry | undefined
  /** The entry and all its descendants. */
  readonly family: (entry: TokenEntry) => ReadonlyArray<TokenEntry>
  /** Removes the entry and all its descendants, and answers them. */
  readonly remove: (entry: TokenEntry) => ReadonlyArray<TokenEntry>
  /** A tenant's entries after `after`, in order of their hashes. */
  readonly page: (
    tenantId: TenantId,
    after: TokenHash | undefined,
    limit: number,
    keep: (entry: TokenEntry) => boolean,
  ) => ReadonlyArray<TokenEntry>
  readonly count: (tenantId: TenantId) => number
  /** The tenants that have tokens. */
  readonly tenants: () => Iterable<TenantId>
  readonly entries: (tenantId?: TenantId) => Iterable<TokenEntry>
}

interface Household {
  readonly entries: Map<TokenHash, TokenEntry>
  /** The keys of `entries` in order, until something is added. */
  sorted: ReadonlyArray<TokenHash> | undefined
}

/** Hex digits by which an entry is looked up; the rest of the hash is compared. */
const selectorLength = 32

const selector = (tokenHash: string): string => tokenHash.slice(0, selectorLength)

/** Compares what the look-up left of two hashes, without stopping at the first difference. */
const sameRest = (left: string, right: string): boolean => {
  if (left.length !== right.length) return false
  let difference = 0
  for (let i = selectorLength; i < left.length; i++)
    difference |= left.charCodeAt(i) ^ right.charCodeAt(i)
  return difference === 0
}

/** Position of the first key after `after`. */
const firstAfter = (sorted: ReadonlyArray<TokenHash>, after: TokenHash): number => {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! <= after) low = middle + 1
    else high = middle
  }
  return low
}

/** An empty index. */
export const makeTokenIndex = (): TokenIndex => {
  const bySelector = new Map<string, TokenEntry>()
  const households = new Map<TenantId, Household>()

  const find: TokenIndex["find"] = (tokenHash) => {
    const entry = bySelector.get(selector(tokenHash))
    return entry !== undefined && sameRest(entry.capability.tokenHash, tokenHash)
      ? entry
      : undefined
  }

  const family: TokenIndex["family"] = (entry) => {
    const members = [entry]
    // Grows while it is walked.
    for (const member of members) for (const child of member.children) members.push(child)
    return members
  }

  const forget = (entry: TokenEntry) => {
    const { tenantId, tokenHash } = entry.capability
    bySelector.delete(selector(tokenHash))
    const household = households.get(tenantId)
    household?.entries.delete(tokenHash)
    if (household?.entries.size === 0) households.delete(tenantId)
    else if (household !== undefined) household.sorted = undefined
  }

  return {
    find,
    family,
    add: (capability, durable) => {
      const parent = capability.parent === null ? undefined : find(capability.parent)
      if (capability.parent !== null && parent === undefined) return undefined
      const depth = parent === undefined ? 0 : parent.depth + 1
      const children = new Set<TokenEntry>()
      const entry: TokenEntry = { capability, parent, children, depth, durable, limiter: undefined }
      bySelector.set(selector(capability.tokenHash), entry)
      parent?.children.add(entry)
      let household = households.get(capability.tenantId)
      if (household === undefined) {
        household = { entries: new Map(), sorted: undefined }
        households.set(capability.tenantId, household)
      }
      household.entries.set(capability.tokenHash, entry)
      household.sorted = undefined
      return entry
    },
    remove: (entry) => {
      const members = family(entry)
      entry.parent?.children.delete(entry)
      members.forEach(forget)
      return members
    },
    page: (tenantId, after, limit, keep) => {
      const household = households.get(tenantId)
      if (household === undefined) return []
      household.sorted ??= [...household.entries.keys()].sort()
      const found: Array<TokenEntry> = []
      const start = after === undefined ? 0 : firstAfter(household.sorted, after)
      for (let i = start; i < household.sorted.length && found.length < limit; i++) {
        const entry = household.entries.get(household.sorted[i]!)!
        if (keep(entry)) found.push(entry)
      }
      return found
    },
    count: (tenantId) => households.get(tenantId)?.entries.size ?? 0,
    tenants: () => households.keys(),
    entries: (tenantId) =>
      tenantId === undefined
        ? bySelector.values()
        : (households.get(tenantId)?.entries.values() ?? []),
  }
}
