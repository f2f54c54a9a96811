/**
 * What a service's durable store holds, its bounds, and the decision whether a batch may be
 * applied. It is pure: where entries are kept and how they reach the disk is the kernel's.
 */

/** Largest key, in UTF-8 bytes. A key has at least one. */
export const maxKeyBytes = 512
/** Largest value, in bytes: of its JSON text, or its own. */
export const maxValueBytes = 65_536
/** Writes of one batch, and conditions of one batch. */
export const maxBatchWrites = 128
export const maxBatchConditions = 128
/** Keys and values of one batch together, in bytes: it must fit a driver's frame. */
export const maxBatchBytes = 122_880
/** Entries on one page of a list, and keys and values of a page together, in bytes. */
export const maxPageEntries = 1000
export const maxPageBytes = 122_880
/** What an entry counts beside its key and value: in a batch, on a page and towards a quota. */
export const entryOverhead = 32

/** A value as it is stored: `json` is a JSON text in UTF-8. */
export interface StoredValue {
  readonly format: "json" | "bytes"
  readonly bytes: Uint8Array
}

/** One key with its value. `version` is the sequence of the batch that wrote it. */
export interface Entry {
  readonly key: string
  readonly version: number
  readonly value: StoredValue
}

/** Gives a key a value, or, where that is `null`, removes the key. */
export interface Write {
  readonly key: string
  readonly value: StoredValue | null
}

/** Holds while the entry has this version; `null`: while there is no entry. */
export interface Condition {
  readonly key: string
  readonly version: number | null
}

/** Writes to be carried out together, in order, if all conditions hold before the first. */
export interface Batch {
  readonly writes: ReadonlyArray<Write>
  readonly conditions: ReadonlyArray<Condition>
}

/** Which entries to list, and from where. */
export interface StoreQuery {
  /** Only keys that begin with this; all begin with "". */
  readonly prefix: string
  /** Only keys behind this one. */
  readonly after: string | null
  readonly limit: number
}

/** Entries in the order of their keys' UTF-8 bytes. */
export interface StorePage {
  readonly entries: ReadonlyArray<Entry>
  /** Whether there are more behind the last one. */
  readonly hasMore: boolean
}

/** How much a store holds. `bytes` counts keys, values and {@link entryOverhead}. */
export interface StoreUsage {
  readonly keys: number
  readonly bytes: number
}

/** How much a store may hold. */
export interface StoreQuota extends StoreUsage {
  /** What all stores of a tenant together may hold. */
  readonly tenantBytes: number
}

/** The size of a text in UTF-8 bytes. */
export const utf8Bytes = (text: string): number => new TextEncoder().encode(text).length

/** What is wrong with a key, in words for its author; `undefined` where nothing is. */
export const keyFlaw = (key: string): string | undefined => {
  if (key === "") return "a key has at least one character"
  // A lone surrogate has no UTF-8: two different keys would become the same one.
  if (!key.isWellFormed()) return "a key is well-formed Unicode: no lone surrogates"
  const bytes = key.length > maxKeyBytes ? key.length : utf8Bytes(key)
  return bytes > maxKeyBytes ? `a key has at most ${maxKeyBytes} bytes in UTF-8` : undefined
}

/** What an entry counts. */
export const entryBytes = (key: string, valueBytes: number): number =>
  utf8Bytes(key) + valueBytes + entryOverhead

/** What is wrong with a batch, in words for its author; `undefined` where nothing is. */
export const batchFlaw = ({ writes, conditions }: Batch): string | undefined => {
  if (writes.length > maxBatchWrites) return `a batch has at most ${maxBatchWrites} writes`
  if (conditions.length > maxBatchConditions)
    return `a batch has at most ${maxBatchConditions} conditions`
  let bytes = 0
  for (const { key, value } of writes) {
    const size = value?.bytes.length ?? 0
    if (size > maxValueBytes) return `a value has at most ${maxValueBytes} bytes`
    const flaw = keyFlaw(key)
    if (flaw !== undefined) return flaw
    bytes += entryBytes(key, size)
  }
  for (const { key, version } of conditions) {
    const flaw = keyFlaw(key)
    if (flaw !== undefined) return flaw
    if (version !== null && !Number.isSafeInteger(version)) return "a version is a whole number"
    bytes += entryBytes(key, 0)
  }
  return bytes > maxBatchBytes
    ? `a batch has at most ${maxBatchBytes} bytes, ${entryOverhead} for each write and condition included`
    : undefined
}

/** What a decision needs to know of an entry that is there. */
export interface Held {
  readonly version: number
  /** What it counts. */
  readonly bytes: number
}

/** Whether a batch may be applied, and what the store holds then. */
export type BatchDecision =
  /** A condition does not hold: `version` is what there is. */
  | { readonly _tag: "Conflict"; readonly key: string; readonly version: number | null }
  | { readonly _tag: "OverQuota"; readonly quota: "keys" | "bytes" | "tenantBytes" }
  | { readonly _tag: "Apply"; readonly usage: StoreUsage }

/** What a store holds once `writes` are applied. */
const usageAfter = (
  usage: StoreUsage,
  held: (key: string) => Held | undefined,
  writes: ReadonlyArray<Write>,
): StoreUsage => {
  let { keys, bytes } = usage
  const sizes = new Map<string, number>()
  for (const { key, value } of writes) {
    const before = sizes.get(key) ?? held(key)?.bytes ?? 0
    const after = value === null ? 0 : entryBytes(key, value.bytes.length)
    sizes.set(key, after)
    keys += Math.sign(after) - Math.sign(before)
    bytes += after - before
  }
  return { keys, bytes }
}

/**
 * Decides about a batch. `tenantBytes` is what all stores of the tenant hold. What takes less room
 * than there was before is never over a quota.
 */
export const decideBatch = (
  usage: StoreUsage,
  tenantBytes: number,
  held: (key: string) => Held | undefined,
  { writes, conditions }: Batch,
  quota: StoreQuota,
): BatchDecision => {
  for (const { key, version } of conditions) {
    const present = held(key)?.version ?? null
    if (present !== version) return { _tag: "Conflict", key, version: present }
  }
  const after = usageAfter(usage, held, writes)
  const grown = after.bytes - usage.bytes
  if (after.keys > usage.keys && after.keys > quota.keys)
    return { _tag: "OverQuota", quota: "keys" }
  if (grown > 0 && after.bytes > quota.bytes) return { _tag: "OverQuota", quota: "bytes" }
  if (grown > 0 && tenantBytes + grown > quota.tenantBytes)
    return { _tag: "OverQuota", quota: "tenantBytes" }
  return { _tag: "Apply", usage: after }
}
