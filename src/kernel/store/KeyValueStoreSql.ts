/**
 * The stores of all services on whatever database is behind `SqlClient`, and the removal of a whole
 * one. That is one small transaction with its event; the entries themselves are deleted afterwards,
 * a few at a time, by this run of the kernel or the next.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"

import { draft } from "../../domain/Event.ts"
import type { ServiceName } from "../../domain/Identifier.ts"
import { KernelConfig } from "../KernelConfig.ts"
import { isRefusal, refuse } from "../log/Attachment.ts"
import { EventStore } from "../log/EventStore.ts"
import { emptyDigest } from "./EntryRow.ts"
import { KeyValueStore, StoreNotFound } from "./KeyValueStore.ts"
import { makeTenantTotals } from "./StoreBatch.ts"
import { makeStoreReader } from "./StoreReader.ts"
import { makeStoreWriter } from "./StoreWriter.ts"

/** Entries of a removed store that are deleted before others get their turn. */
const sweepEntries = 64

/** How long the sweeper waits after storage failed it. */
const sweepRetry = "10 seconds"

/** Deletes some of what removed stores left; answers whether there may be more. */
const sweepSome = Effect.gen(function* () {
  const sql = yield* SqlClient
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      const [removal] = yield* sql<{ readonly store_id: number }>`
        SELECT store_id FROM store_removals ORDER BY store_id LIMIT 1`
      if (removal === undefined) return false
      const { store_id: id } = removal
      const deleted = yield* sql`
        DELETE FROM store_entries WHERE store_id = ${id} AND key IN (
          SELECT key FROM store_entries WHERE store_id = ${id} LIMIT ${sweepEntries}
        ) RETURNING 1`
      if (deleted.length < sweepEntries)
        yield* sql`DELETE FROM store_removals WHERE store_id = ${id}`
      return true
    }),
  )
})

/** Starts what deletes the entries of removed stores. */
const makeSweeper = Effect.gen(function* () {
  const wanted = yield* Latch.make(true)
  const wake = wanted.open
  const sweep = Effect.gen(function* () {
    yield* wanted.await
    yield* wanted.close
    while (yield* sweepSome) yield* Effect.yieldNow
  })
  yield* sweep.pipe(
    Effect.catch((error) =>
      Effect.logWarning("could not delete what a removed store held").pipe(
        Effect.annotateLogs({ reason: error.message }),
        Effect.andThen(wake),
        Effect.andThen(Effect.sleep(sweepRetry)),
      ),
    ),
    Effect.forever,
    Effect.forkScoped,
  )
  return { wake }
})

/** Takes a store's entries away in the transaction of the event that says so. */
const makeDetach = Effect.map(SqlClient, (sql) =>
  Effect.fnUntraced(function* ({ tenantId, serviceId }: ServiceName) {
    const [row] = yield* sql<{ readonly id: number; readonly sequence: number }>`
        DELETE FROM stores WHERE tenant_id = ${tenantId} AND service_id = ${serviceId}
        RETURNING id, sequence`
    if (row === undefined) return yield* refuse("no such store")
    yield* sql`INSERT INTO store_removals ${sql.insert({ store_id: row.id })}`
    // The versions go on: a condition from before must not hold by chance.
    const blank = { sequence: row.sequence, keys: 0, bytes: 0, digest: emptyDigest }
    yield* sql`
        INSERT INTO stores ${sql.insert({ tenant_id: tenantId, service_id: serviceId, ...blank })}`
  }),
)

const make = Effect.gen(function* () {
  const { storeMaxKeys, storeMaxBytes, storeMaxTenantBytes } = yield* KernelConfig
  const quota = { keys: storeMaxKeys, bytes: storeMaxBytes, tenantBytes: storeMaxTenantBytes }
  const events = yield* EventStore
  const totals = yield* makeTenantTotals(storeMaxBytes)
  const reader = yield* makeStoreReader
  const writer = yield* makeStoreWriter(totals, quota)
  const detach = yield* makeDetach
  const sweeper = yield* makeSweeper

  return KeyValueStore.of({
    get: reader.get,
    list: reader.list,
    write: Effect.fn("KeyValueStore.write")((name, batch) => writer.write(name, batch)),
    figures: Effect.fn("KeyValueStore.figures")(function* (name) {
      const usage = yield* reader.usage(name)
      return { keys: 0, bytes: 0, ...usage, exists: usage !== undefined, quota }
    }),
    clear: Effect.fn("KeyValueStore.clear")(function* (caller, name) {
      // What is remembered is forgotten while nobody else writes: in this very transaction.
      const attachment = Effect.andThen(detach(name), Effect.sync(totals.forget))
      yield* events
        .append([draft("store_cleared", {}, { ...caller, ...name })], attachment)
        .pipe(Effect.catchIf(isRefusal, () => new StoreNotFound({ serviceId: name.serviceId })))
      yield* sweeper.wake
    }),
    flush: writer.flush,
  })
})

/** The stores on whatever database is behind `SqlClient`. */
export const layerKeyValueStore = Layer.effect(KeyValueStore, make)
