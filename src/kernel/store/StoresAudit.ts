/**
 * Checks the services' stores: no entry without a store and, when everything is looked at, every
 * entry is what was put, and together they are all that were put. It tells no key and no value.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"

import type { ServiceName } from "../../domain/Identifier.ts"
import { entryOverhead } from "../../domain/KeyValue.ts"
import { Digest } from "../log/Digest.ts"
import { type Finding, VerifierChecks } from "../recovery/Verifier.ts"
import { emptyDigest, type EntryRow, fromEntryRow, toggle } from "./EntryRow.ts"
import { fromStoreRow, type StoreRow } from "./StoreRow.ts"

/** Entries read before others get their turn. */
const perStep = 64

/** Stores looked up at once. */
const perPage = 256

const advice =
  "Part of a service's store is damaged: have the service put or delete what it cannot read, remove the store (DELETE /v1/services/{serviceId}/store), or restore a backup."

/** Whose a damaged row says it is. */
interface Names {
  readonly tenantId: string
  readonly serviceId: string
}

const damaged = (name: Names | null, detail: string): Finding => ({
  invariant: "stores_intact",
  promise: 1,
  severity: "error",
  tenantId: name?.tenantId ?? null,
  serviceId: name?.serviceId ?? null,
  eventId: null,
  detail,
  fixable: false,
})

/** What the entries of a store add up to. */
interface Sum {
  keys: number
  bytes: number
  digest: string
  newest: number
  unreadable: number
}

/** Entries that belong to no store, and to none that was removed. */
const checkOrphans = Effect.gen(function* () {
  const sql = yield* SqlClient
  const rows = yield* sql<{ readonly store_id: number }>`
    SELECT DISTINCT store_id FROM store_entries
    WHERE store_id NOT IN (SELECT id FROM stores)
      AND store_id NOT IN (SELECT store_id FROM store_removals) LIMIT ${perPage}`
  return rows.map(({ store_id: id }) => damaged(null, `entries belong to no store (${id})`))
})

const addUp = Effect.fnUntraced(function* (name: ServiceName, id: number) {
  const sql = yield* SqlClient
  const { sha256 } = yield* Digest
  const sum: Sum = { keys: 0, bytes: 0, digest: emptyDigest, newest: 0, unreadable: 0 }
  let last = new Uint8Array()
  while (true) {
    const rows: ReadonlyArray<EntryRow> = yield* sql<EntryRow>`
      SELECT key, version, format, value, checksum FROM store_entries
      WHERE store_id = ${id} AND key > ${last} ORDER BY key LIMIT ${perStep}`
    for (const row of rows) {
      sum.keys += 1
      sum.bytes += row.key.length + row.value.length + entryOverhead
      sum.digest = toggle(sum.digest, row.checksum)
      sum.newest = Math.max(sum.newest, row.version)
      if (fromEntryRow(sha256, name, row) === undefined) sum.unreadable += 1
    }
    if (rows.length < perStep) return sum
    last = new Uint8Array(rows.at(-1)!.key)
    yield* Effect.yieldNow
  }
})

const flawsOf = (row: StoreRow, sum: Sum): ReadonlyArray<string> => {
  const flaws: Array<string> = []
  if (sum.unreadable > 0) flaws.push(`${sum.unreadable} entries of its store are damaged`)
  if (sum.keys !== row.keys)
    flaws.push(`its store has ${sum.keys} entries, and should have ${row.keys}`)
  if (sum.bytes !== row.bytes)
    flaws.push(`its store has ${sum.bytes} bytes, and should have ${row.bytes}`)
  if (sum.newest > row.sequence)
    flaws.push(`its store has version ${sum.newest}, but gave none above ${row.sequence}`)
  // Says something of its own only where the entries themselves seem well.
  if (flaws.length === 0 && sum.digest !== row.digest)
    flaws.push("its store has other entries than were put last")
  return flaws
}

/** Reads a store; one that is written to meanwhile is read again, a few times. */
const checkStore = Effect.fnUntraced(function* (found: StoreRow) {
  const sql = yield* SqlClient
  const name = { tenantId: found.tenant_id, serviceId: found.service_id }
  let row: StoreRow | undefined = found
  for (let attempt = 0; attempt < 3 && row !== undefined; attempt++) {
    const before: StoreRow = row
    const sum = yield* addUp(name, before.id)
    const [again] = yield* sql`SELECT * FROM stores WHERE id = ${before.id}`
    const after = Result.getOrUndefined(fromStoreRow(again))
    row = after
    if (after?.sequence === before.sequence)
      return flawsOf(before, sum).map((flaw) => damaged(name, flaw))
    // What does not fit its checksum never did, whoever writes meanwhile.
    if (after !== undefined && sum.unreadable > 0)
      return [damaged(name, `${sum.unreadable} entries of its store are damaged`)]
  }
  return []
})

/** What of a row is needed to say that it cannot be read. */
interface Key {
  readonly id: number
  readonly tenant_id: string
  readonly service_id: string
}

const checkAll = Effect.gen(function* () {
  const sql = yield* SqlClient
  const inconsistencies: Array<Finding> = []
  let last = 0
  while (true) {
    const rows: ReadonlyArray<Key> = yield* sql<Key>`
      SELECT * FROM stores WHERE id > ${last} ORDER BY id LIMIT ${perPage}`
    for (const row of rows) {
      const store = fromStoreRow(row)
      if (Result.isSuccess(store)) inconsistencies.push(...(yield* checkStore(store.success)))
      else
        inconsistencies.push(
          damaged(
            { tenantId: row.tenant_id, serviceId: row.service_id },
            "the row of its store cannot be read",
          ),
        )
    }
    if (rows.length < perPage) return inconsistencies
    last = rows.at(-1)!.id
  }
})

const verify = Effect.fnUntraced(function* (full: boolean) {
  const sql = yield* SqlClient
  const [figures] = yield* sql<{ readonly stores: number; readonly keys: number }>`
    SELECT count(*) AS stores, coalesce(sum(keys), 0) AS keys FROM stores`
  const inconsistencies = full ? [...(yield* checkOrphans), ...(yield* checkAll)] : []
  const recommendations = inconsistencies.length === 0 ? [] : [advice]
  return { figures: { ...figures! }, inconsistencies, recommendations }
})

/** Registers the check `stores`. */
export const layerStoresAudit = Layer.effectDiscard(
  Effect.gen(function* () {
    const checks = yield* VerifierChecks
    const context = yield* Effect.context<Digest | SqlClient>()
    checks.add({
      name: "stores",
      verify: ({ full }) => Effect.provideContext(verify(full), context),
    })
  }),
)
