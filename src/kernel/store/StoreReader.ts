/**
 * Reads stores: one entry, a page of them, how much there is. Every entry is checked against its
 * checksum; one that does not fit is refused, never handed out.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"

import type { ServiceName } from "../../domain/Identifier.ts"
import {
  entryOverhead,
  keyFlaw,
  maxPageBytes,
  maxPageEntries,
  type StoreQuery,
  type StoreUsage,
} from "../../domain/KeyValue.ts"
import { Digest } from "../log/Digest.ts"
import { makeFailed } from "../log/Storage.ts"
import { type EntryRow, fromEntryRow, keyBytes, keyText } from "./EntryRow.ts"
import { StoreDamaged, StoreInputInvalid } from "./KeyValueStore.ts"

/** No store has more keys or bytes. */
const maxFigure = Number.MAX_SAFE_INTEGER

/** What is wrong with a query, in words for its author; `undefined` where nothing is. */
const queryFlaw = ({ prefix, after, limit }: StoreQuery): string | undefined => {
  if (!Number.isInteger(limit) || limit < 1 || limit > maxPageEntries)
    return `the limit of a list is from 1 to ${maxPageEntries}`
  const flaw = prefix === "" ? undefined : keyFlaw(prefix)
  if (flaw !== undefined) return `the prefix is no key: ${flaw}`
  const cursor = after === null ? undefined : keyFlaw(after)
  return cursor === undefined ? undefined : `the cursor is none: ${cursor}`
}

// No UTF-8 text holds a byte of all ones: behind all keys that begin with the prefix.
const behind = (prefix: Uint8Array): Uint8Array => {
  const end = new Uint8Array(prefix.length + 1)
  end.set(prefix)
  end[prefix.length] = 0xff
  return end
}

/** Makes the reading half of the stores. */
export const makeStoreReader = Effect.gen(function* () {
  const sql = yield* SqlClient
  const { sha256 } = yield* Digest
  const failed = yield* makeFailed

  const read = (name: ServiceName, row: EntryRow) => {
    const entry = fromEntryRow(sha256, name, row)
    return entry === undefined
      ? Effect.fail(new StoreDamaged({ key: keyText(row.key) }))
      : Effect.succeed(entry)
  }
  const idOf = ({ tenantId, serviceId }: ServiceName) =>
    sql`(SELECT id FROM stores WHERE tenant_id = ${tenantId} AND service_id = ${serviceId})`

  // How large entries are is known without reading their values, so a page reads only its own.
  const page = (name: ServiceName, query: StoreQuery) => {
    const prefix = keyBytes(query.prefix)
    const first = [sql`key >= ${prefix}`, sql`key < ${behind(prefix)}`]
    const after = query.after === null ? [] : [sql`key > ${keyBytes(query.after)}`]
    return sql<EntryRow & { readonly found: number }>`
      SELECT e.key, e.version, e.format, e.value, e.checksum, sizes.found FROM (
        SELECT store_id, key, count(*) OVER () AS found,
          sum(length(key) + size + ${entryOverhead}) OVER (ORDER BY key) AS total
        FROM (
          SELECT store_id, key, length(value) AS size FROM store_entries
          WHERE store_id = ${idOf(name)} AND ${sql.and([...first, ...after])}
          ORDER BY key LIMIT ${query.limit + 1}
        ) AS candidates
      ) AS sizes
      JOIN store_entries AS e ON e.store_id = sizes.store_id AND e.key = sizes.key
      WHERE sizes.total <= ${maxPageBytes} ORDER BY e.key`
  }

  return {
    get: Effect.fn("KeyValueStore.get")(function* (name: ServiceName, key: string) {
      const flaw = keyFlaw(key)
      if (flaw !== undefined) return yield* new StoreInputInvalid({ reason: flaw })
      const [row] = yield* Effect.mapError(
        sql<EntryRow>`
          SELECT key, version, format, value, checksum FROM store_entries
          WHERE store_id = ${idOf(name)} AND key = ${keyBytes(key)}`,
        failed("read a store"),
      )
      return row === undefined ? undefined : yield* read(name, row)
    }),

    list: Effect.fn("KeyValueStore.list")(function* (name: ServiceName, query: StoreQuery) {
      const flaw = queryFlaw(query)
      if (flaw !== undefined) return yield* new StoreInputInvalid({ reason: flaw })
      const rows = yield* Effect.mapError(page(name, query), failed("read a store"))
      const entries = yield* Effect.forEach(rows.slice(0, query.limit), (row) => read(name, row))
      return { entries, hasMore: rows.length > 0 && rows[0]!.found > entries.length }
    }),

    usage: Effect.fnUntraced(function* ({ tenantId, serviceId }: ServiceName) {
      const rows = yield* Effect.mapError(
        // Damaged figures are the verifier's to report; here they only must be figures.
        sql<StoreUsage>`
          SELECT min(max(keys, 0), ${maxFigure}) AS keys, min(max(bytes, 0), ${maxFigure}) AS bytes
          FROM stores
          WHERE tenant_id = ${tenantId} AND service_id = ${serviceId}`,
        failed("read a store"),
      )
      return rows[0]
    }),
  }
})
