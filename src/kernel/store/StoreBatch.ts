/**
 * One transaction's worth of writes to stores: reads what they are about, decides about each in
 * turn, and writes what that came to. It writes inside a transaction that the writer opens.
 */
import type * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"

import { serviceKey, type ServiceName, type TenantId } from "../../domain/Identifier.ts"
import {
  type Batch,
  decideBatch,
  entryBytes,
  entryOverhead,
  type Held,
  type StoredValue,
  type StoreQuota,
} from "../../domain/KeyValue.ts"
import { Digest } from "../log/Digest.ts"
import { checksumOf, emptyDigest, type EntryRow, keyBytes, keyText, toggle } from "./EntryRow.ts"
import { StoreConflict, StoreQuotaExceeded, type StoreWriteError } from "./KeyValueStore.ts"
import type { StoreRow } from "./StoreRow.ts"

/** Rows one statement carries at most; there are as many statements as powers of two up to it. */
const maxRows = 64

/** Tenants whose totals are remembered at most. */
const maxTotals = 10_000

/** A batch on its way to the disk, and the caller that waits for it. */
export interface PendingWrite {
  readonly name: ServiceName
  readonly batch: Batch
  /** What it takes of memory, roughly. */
  readonly bytes: number
  readonly answer: Deferred.Deferred<number, StoreWriteError>
}

/** What a transaction came to, to be believed once it is committed. */
export interface Written {
  /** The sequence of a store that was written to, if any was. */
  readonly proof: { readonly id: number; readonly sequence: number } | undefined
  readonly answers: ReadonlyArray<readonly [PendingWrite, Exit.Exit<number, StoreWriteError>]>
}

/** A row as `sql.insert` takes it: it wants a type that is no interface. */
type Columns<A> = { readonly [K in keyof A]: A[K] }

/** An entry as this transaction has it: read, or about to be written. */
interface Draft extends Held {
  readonly checksum: string
  readonly value?: StoredValue
}

/** A store as this transaction has it. */
interface OpenStore {
  readonly name: ServiceName
  readonly row: StoreRow
  /** Whether the table has an entry, for each key that was looked at. */
  readonly stored: Set<string>
  readonly entries: Map<string, Draft>
  /** Keys whose entries are to be written or removed. */
  readonly changed: Set<string>
  next: StoreRow
}

/** Cuts `items` into pieces whose lengths are powers of two, so that few statements do. */
const pieces = function* <A>(items: ReadonlyArray<A>): Generator<[A, ...Array<A>]> {
  for (let from = 0; from < items.length;) {
    const size = Math.min(maxRows, 2 ** Math.floor(Math.log2(items.length - from)))
    yield items.slice(from, from + size) as [A, ...Array<A>]
    from += size
  }
}

const makeTuples = Effect.map(
  SqlClient,
  (sql) =>
    (pairs: ReadonlyArray<readonly [unknown, unknown]>): Fragment =>
      sql.join(", ", false)(pairs.map(([left, right]) => sql`(${left}, ${right})`)),
)

// What only damage can have put there must not be refused when it is written again: that would cost
// everybody in the transaction.
const figure = (value: number): number => Math.min(Math.max(value, 0), Number.MAX_SAFE_INTEGER)

const soundOf = (row: StoreRow): StoreRow => ({
  ...row,
  sequence: figure(row.sequence),
  keys: figure(row.keys),
  bytes: figure(row.bytes),
})

/** Opens the stores of `names`, making those that are not there yet. */
const openStores = Effect.fnUntraced(function* (names: ReadonlyMap<string, ServiceName>) {
  const sql = yield* SqlClient
  const tuples = yield* makeTuples
  const open = new Map<string, OpenStore>()
  const add = (stored: StoreRow) => {
    const row = soundOf(stored)
    const name = { tenantId: row.tenant_id, serviceId: row.service_id }
    open.set(serviceKey(name), {
      name,
      row,
      next: row,
      stored: new Set(),
      entries: new Map(),
      changed: new Set(),
    })
  }
  for (const piece of pieces([...names.values()])) {
    const pairs = tuples(piece.map((name) => [name.tenantId, name.serviceId]))
    // Not decoded: the names are those asked for, and numbers are numbers in a STRICT table.
    const rows = yield* sql<StoreRow>`
      SELECT * FROM stores WHERE (tenant_id, service_id) IN (VALUES ${pairs})`
    rows.forEach(add)
  }
  for (const [key, name] of names) {
    if (open.has(key)) continue
    const blank = { sequence: 0, keys: 0, bytes: 0, digest: emptyDigest }
    const row = { tenant_id: name.tenantId, service_id: name.serviceId, ...blank }
    const [made] = yield* sql<{ readonly id: number }>`
      INSERT INTO stores ${sql.insert(row)} RETURNING id`
    add({ ...row, id: made!.id })
  }
  return open
})

/** Reads what the entries that `pending` are about are like, but not their values. */
const readEntries = Effect.fnUntraced(function* (
  open: ReadonlyMap<string, OpenStore>,
  pending: ReadonlyArray<PendingWrite>,
) {
  const sql = yield* SqlClient
  const tuples = yield* makeTuples
  const byId = new Map([...open.values()].map((store) => [store.row.id, store]))
  const wanted = new Map<string, readonly [number, Uint8Array]>()
  for (const { name, batch } of pending) {
    const { id } = open.get(serviceKey(name))!.row
    for (const { key } of [...batch.writes, ...batch.conditions])
      wanted.set(`${id}/${key}`, [id, keyBytes(key)])
  }
  for (const piece of pieces([...wanted.values()])) {
    const rows = yield* sql<
      Pick<EntryRow, "key" | "version" | "checksum"> & {
        readonly store_id: number
        readonly size: number
      }
    >`
      SELECT store_id, key, version, length(key) + length(value) AS size, checksum
      FROM store_entries WHERE (store_id, key) IN (VALUES ${tuples(piece)})`
    for (const { store_id: id, key: bytes, version, size, checksum } of rows) {
      const store = byId.get(id)!
      const key = keyText(bytes)
      store.stored.add(key)
      store.entries.set(key, { version, checksum, bytes: size + entryOverhead })
    }
  }
})

/** What all stores of a tenant hold, in bytes, remembered between transactions. */
export interface TenantTotals {
  readonly read: (tenantId: TenantId) => Effect.Effect<number, SqlError>
  readonly grow: (tenantId: TenantId, bytes: number) => void
  /** What is known may not be so any more. */
  readonly forget: () => void
}

/** Knows nothing yet. `maxBytes` is what one store may hold. */
export const makeTenantTotals = Effect.fnUntraced(function* (maxBytes: number) {
  const sql = yield* SqlClient
  const known = new Map<TenantId, number>()
  const totals: TenantTotals = {
    read: Effect.fnUntraced(function* (tenantId) {
      const remembered = known.get(tenantId)
      if (remembered !== undefined) return remembered
      // A damaged figure is one store's, and must not cost the others their writes.
      const [row] = yield* sql<{ readonly total: number }>`
        SELECT coalesce(sum(min(max(bytes, 0), ${maxBytes})), 0) AS total FROM stores
        WHERE tenant_id = ${tenantId}`
      if (known.size >= maxTotals) known.clear()
      known.set(tenantId, row!.total)
      return row!.total
    }),
    grow: (tenantId, bytes) => {
      const before = known.get(tenantId)
      if (before !== undefined) known.set(tenantId, before + bytes)
    },
    forget: () => known.clear(),
  }
  return totals
})

const apply = (sha256: Digest["Service"]["sha256"], store: OpenStore, { batch }: PendingWrite) => {
  const version = store.next.sequence + 1
  let { digest } = store.next
  for (const { key, value } of batch.writes) {
    const before = store.entries.get(key)
    if (before !== undefined) digest = toggle(digest, before.checksum)
    store.changed.add(key)
    if (value === null) {
      store.entries.delete(key)
      continue
    }
    const checksum = checksumOf(sha256, store.name, key, version, value)
    digest = toggle(digest, checksum)
    const bytes = entryBytes(key, value.bytes.length)
    store.entries.set(key, { version, bytes, checksum, value })
  }
  store.next = { ...store.next, sequence: version, digest }
  return version
}

const decide = Effect.fnUntraced(function* (
  totals: TenantTotals,
  quota: StoreQuota,
  store: OpenStore,
  pending: PendingWrite,
) {
  const { sha256 } = yield* Digest
  const { tenantId } = store.name
  const decision = decideBatch(
    store.next,
    yield* totals.read(tenantId),
    (key) => store.entries.get(key),
    pending.batch,
    quota,
  )
  if (decision._tag === "Conflict") {
    const { key, version } = decision
    return Exit.fail(new StoreConflict({ key, version }))
  }
  if (decision._tag === "OverQuota") {
    return Exit.fail(
      new StoreQuotaExceeded({ quota: decision.quota, maximum: quota[decision.quota] }),
    )
  }
  // Conditions alone change nothing.
  if (pending.batch.writes.length === 0) return Exit.succeed(store.next.sequence)
  totals.grow(tenantId, decision.usage.bytes - store.next.bytes)
  const version = apply(sha256, store, pending)
  store.next = { ...store.next, ...decision.usage }
  return Exit.succeed(version)
})

const flush = Effect.fnUntraced(function* (stores: ReadonlyArray<OpenStore>) {
  const sql = yield* SqlClient
  const tuples = yield* makeTuples
  const removed: Array<readonly [number, Uint8Array]> = []
  const put: Array<Columns<EntryRow & { readonly store_id: number }>> = []
  for (const { row, changed, entries, stored } of stores) {
    for (const key of changed) {
      const draft = entries.get(key)
      if (draft === undefined) {
        if (stored.has(key)) removed.push([row.id, keyBytes(key)])
        continue
      }
      const { version, checksum } = draft
      const { format, bytes } = draft.value!
      put.push({ store_id: row.id, key: keyBytes(key), version, format, value: bytes, checksum })
    }
  }
  for (const piece of pieces(removed))
    yield* sql`DELETE FROM store_entries WHERE (store_id, key) IN (VALUES ${tuples(piece)})`
  for (const piece of pieces(put))
    yield* sql`
      INSERT INTO store_entries ${sql.insert(piece)}
      ON CONFLICT (store_id, key) DO UPDATE SET version = excluded.version,
        format = excluded.format, value = excluded.value, checksum = excluded.checksum`
  for (const piece of pieces(stores.map(({ next }): Columns<StoreRow> => next)))
    yield* sql`
      INSERT INTO stores ${sql.insert(piece)}
      ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, keys = excluded.keys,
        bytes = excluded.bytes, digest = excluded.digest`
})

/** Writes what may be written of `pending`. Runs in the caller's transaction. */
export const writeBatches = Effect.fnUntraced(function* (
  totals: TenantTotals,
  quota: StoreQuota,
  pending: ReadonlyArray<PendingWrite>,
): Effect.fn.Return<Written, SqlError, Digest | SqlClient> {
  const open = yield* openStores(new Map(pending.map(({ name }) => [serviceKey(name), name])))
  yield* readEntries(open, pending)
  const answers: Array<Written["answers"][number]> = []
  for (const one of pending) {
    answers.push([one, yield* decide(totals, quota, open.get(serviceKey(one.name))!, one)])
  }
  const written = [...open.values()].filter(({ row, next }) => row !== next)
  yield* flush(written)
  const [first] = written
  return {
    proof: first === undefined ? undefined : { id: first.row.id, sequence: first.next.sequence },
    answers,
  }
})
