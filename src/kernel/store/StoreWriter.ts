/**
 * The one writer of all stores: takes what waits, in turns, commits it as one transaction, and
 * answers when that is on disk. It shares the database's one writing connection with the log's
 * writer; neither ever waits for the other while it holds that.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"

import type { ServiceName } from "../../domain/Identifier.ts"
import { type Batch, batchFlaw, entryBytes, type StoreQuota } from "../../domain/KeyValue.ts"
import { commit, storageErrorOf } from "../log/Commit.ts"
import type { Digest } from "../log/Digest.ts"
import type { Storage } from "../log/Storage.ts"
import {
  StoreClosed,
  StoreInputInvalid,
  StoreOverloaded,
  type StoreWriteError,
} from "./KeyValueStore.ts"
import { type PendingWrite, type TenantTotals, writeBatches } from "./StoreBatch.ts"
import { WaitingWrites } from "./WaitingWrites.ts"

/** Accepts batches. */
export interface StoreWriter {
  readonly write: (name: ServiceName, batch: Batch) => Effect.Effect<number, StoreWriteError>
  readonly flush: Effect.Effect<void>
}

const makeProcess = Effect.fnUntraced(function* (totals: TenantTotals, quota: StoreQuota) {
  const sql = yield* SqlClient

  const settle = Effect.fnUntraced(function* (pending: ReadonlyArray<PendingWrite>) {
    const { answers } = yield* commit(writeBatches(totals, quota, pending), ({ proof }) =>
      proof === undefined
        ? Effect.succeed(false)
        : Effect.map(
            sql`SELECT 1 FROM stores WHERE id = ${proof.id} AND sequence = ${proof.sequence}`,
            (rows) => rows.length > 0,
          ),
    )
    for (const [one, exit] of answers) Deferred.doneUnsafe(one.answer, exit)
  })

  const refuse = Effect.fnUntraced(function* (
    pending: ReadonlyArray<PendingWrite>,
    cause: Parameters<typeof storageErrorOf>[1],
  ) {
    totals.forget()
    const error = yield* storageErrorOf("write to a store", cause)
    for (const one of pending) Deferred.doneUnsafe(one.answer, Exit.fail(error))
    yield* Effect.logError("the stores could not be written to").pipe(
      Effect.annotateLogs({ reason: error.message }),
    )
  })

  // Whatever breaks must not end the writer, nor leave a caller without an answer.
  return (pending: ReadonlyArray<PendingWrite>) =>
    Effect.catchCause(settle(pending), (cause) => refuse(pending, cause))
})

const sizeOf = ({ writes, conditions }: Batch): number => {
  let bytes = 0
  for (const { key, value } of writes) bytes += entryBytes(key, value?.bytes.length ?? 0)
  for (const { key } of conditions) bytes += entryBytes(key, 0)
  return bytes
}

/**
 * Starts the writer. When the scope closes it takes no more, commits what waits, and ends.
 */
export const makeStoreWriter = Effect.fnUntraced(function* (
  totals: TenantTotals,
  quota: StoreQuota,
): Effect.fn.Return<StoreWriter, never, Digest | SqlClient | Storage | Scope.Scope> {
  const process = yield* makeProcess(totals, quota)
  const waiting = new WaitingWrites<PendingWrite>()
  const accepted = new Set<PendingWrite>()
  const bell = yield* Queue.sliding<true, Cause.Done>(1)

  const drain = Effect.gen(function* () {
    for (let taken = waiting.take(); taken.length > 0; taken = waiting.take()) {
      yield* Effect.uninterruptible(process(taken))
      for (const one of taken) accepted.delete(one)
    }
  })
  const writer = yield* Queue.take(bell).pipe(
    Effect.andThen(drain),
    Effect.forever({ disableYield: true }),
    Effect.ignore,
    Effect.forkScoped({ startImmediately: true }),
  )
  // Registered after the fiber, so it runs first: the fiber ends by itself once nothing waits.
  yield* Effect.addFinalizer(() => Effect.andThen(Queue.end(bell), Fiber.await(writer)))

  // When a caller is gone nothing of its is under way any more: the next one finds what there is.
  const settled = (pending: PendingWrite) =>
    Effect.suspend(() => {
      if (!waiting.remove(pending)) return Effect.exit(Deferred.await(pending.answer))
      accepted.delete(pending)
      Deferred.doneUnsafe(pending.answer, Exit.fail(new StoreClosed()))
      return Effect.void
    })

  return {
    write: Effect.fnUntraced(function* (name, batch) {
      const flaw = batchFlaw(batch)
      if (flaw !== undefined) return yield* new StoreInputInvalid({ reason: flaw })
      if (bell.state._tag !== "Open") return yield* new StoreClosed()
      const answer = Deferred.makeUnsafe<number, StoreWriteError>()
      const pending = { name, batch, bytes: sizeOf(batch), answer }
      if (!waiting.offer(pending))
        return yield* new StoreOverloaded({ waitingBytes: waiting.bytes })
      accepted.add(pending)
      Queue.offerUnsafe(bell, true)
      return yield* Effect.onInterrupt(Deferred.await(answer), () => settled(pending))
    }),
    flush: Effect.suspend(() =>
      Effect.forEach([...accepted], ({ answer }) => Effect.exit(Deferred.await(answer)), {
        discard: true,
      }),
    ),
  }
})
