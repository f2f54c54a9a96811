/**
 * An entry as a row of the table `store_entries`, in both directions. The checksum covers the whole
 * row and whose it is: what a disk changed, swapped or mixed up does not pass for an entry.
 */
import type { ServiceName } from "../../domain/Identifier.ts"
import type { Entry, StoredValue } from "../../domain/KeyValue.ts"
import type { Digest } from "../log/Digest.ts"

/** The columns of an entry, but for the store's id. */
export interface EntryRow {
  /** UTF-8, so that the database orders keys by their bytes. */
  readonly key: Uint8Array
  readonly version: number
  readonly format: string
  readonly value: Uint8Array
  readonly checksum: string
}

type Sha256 = Digest["Service"]["sha256"]

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** A key as it is stored. */
export const keyBytes = (key: string): Uint8Array => encoder.encode(key)

/** A stored key as text. */
export const keyText = (key: Uint8Array): string => decoder.decode(key)

/** What an entry must have as its checksum: 64 hex digits. */
export const checksumOf = (
  sha256: Sha256,
  name: ServiceName,
  key: string,
  version: number,
  value: StoredValue,
): string => {
  const head = encoder.encode(
    JSON.stringify([name.tenantId, name.serviceId, key, version, value.format]),
  )
  const all = new Uint8Array(head.length + value.bytes.length)
  all.set(head)
  all.set(value.bytes, head.length)
  return sha256(all)
}

const isFormat = (format: string): format is StoredValue["format"] =>
  format === "json" || format === "bytes"

/** Reads an entry back; `undefined` where it is damaged. */
export const fromEntryRow = (
  sha256: Sha256,
  name: ServiceName,
  row: EntryRow,
): Entry | undefined => {
  const { version, format } = row
  if (!isFormat(format)) return undefined
  const key = keyText(row.key)
  const value = { format, bytes: row.value }
  return checksumOf(sha256, name, key, version, value) === row.checksum
    ? { key, version, value }
    : undefined
}

const width = 64

/** The digest of a store without entries. */
export const emptyDigest = "0".repeat(width)

const numberOf = (hex: string): bigint => (/^[0-9a-f]{64}$/.test(hex) ? BigInt(`0x${hex}`) : 0n)

/**
 * The digest of a store once an entry with this checksum is added to it, or taken from it: the XOR
 * of the checksums of all its entries, in whatever order they came.
 */
export const toggle = (digest: string, checksum: string): string =>
  (numberOf(digest) ^ numberOf(checksum)).toString(16).padStart(width, "0")
