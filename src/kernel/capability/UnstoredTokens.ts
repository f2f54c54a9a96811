/**
 * Tokens that are good but not on disk, because storage fails: bounded, in the order they were
 * made, and stored as soon as that works again, parents first.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"

import type { TokenHash } from "../../domain/Capability.ts"
import type { AppendError } from "../log/EventStore.ts"
import type { StorageFault } from "../log/Storage.ts"
import type { TokenEntry, TokenIndex } from "./TokenIndex.ts"
import { TokenStore } from "./TokenStore.ts"

/** Tokens that may wait for storage at once. */
export const maxUnstored = 1024

/** Pause before storing is tried again, in milliseconds: doubled each time, up to the maximum. */
const firstRetryMs = 250
const maxRetryMs = 30_000

/** Faults after which nothing can have reached the disk; after others it may have. */
const certain: ReadonlySet<StorageFault> = new Set(["full", "locked", "missing"])

/** Counts tokens whose row became durable. */
export const persisted = Metric.counter("solo_tokens_persisted_total", {
  description: "Tokens whose row became durable",
  incremental: true,
})

const unstored = Metric.gauge("solo_tokens_unstored", {
  description: "Tokens in memory only, which wait for storage to work again; 0 is as it must be",
})

/** Whether an append that failed so can have left nothing on disk. */
export const surelyUnwritten = (error: AppendError): boolean =>
  error._tag !== "StorageError" || certain.has(error.fault)

/** Starts storing what waits, in the background. */
export const makeUnstoredTokens = Effect.fnUntraced(function* (index: TokenIndex) {
  const store = yield* TokenStore
  const waiting = new Map<TokenHash, { readonly entry: TokenEntry; certain: boolean }>()
  const some = yield* Latch.make(false)
  // Storing what waits and revoking it exclude each other: else one could slip past the other.
  const storing = yield* Semaphore.make(1)

  const context = yield* Effect.context<never>()
  const measure = () => unstored.updateUnsafe(waiting.size, context)
  measure()

  const drop = (entries: ReadonlyArray<TokenEntry>) => {
    for (const { capability } of entries) waiting.delete(capability.tokenHash)
    measure()
  }

  /** Stores the first that waits; whether there was one. */
  const storeNext = Effect.fnUntraced(function* () {
    const [next] = waiting.values()
    if (next === undefined) return false
    const { entry } = next
    const result = yield* Effect.result(store.storeToken(entry.capability))
    if (Result.isSuccess(result)) {
      entry.durable = true
      drop([entry])
      yield* Metric.update(persisted, 1)
      return true
    }
    const error = result.failure
    if (error._tag === "InvalidCapability") return yield* Effect.die(error)
    if (error._tag === "ParentGone") {
      drop(index.remove(entry))
      return true
    }
    next.certain &&= surelyUnwritten(error)
    return yield* error
  })

  const storeAll: Effect.Effect<void, AppendError> = storing
    .withPermit(Effect.uninterruptible(storeNext()))
    .pipe(Effect.repeat({ until: (more) => !more }), Effect.asVoid)

  const retry = Effect.gen(function* () {
    let pause = firstRetryMs
    while (true) {
      yield* some.await
      yield* Effect.sleep(pause)
      const result = yield* Effect.result(storeAll)
      pause = Result.isSuccess(result) ? firstRetryMs : Math.min(maxRetryMs, pause * 2)
      if (waiting.size > 0) continue
      yield* some.close
      yield* Effect.logInfo("every token is stored again")
    }
  })
  yield* Effect.forkScoped(retry)

  return {
    has: (tokenHash: TokenHash) => waiting.has(tokenHash),
    /** Whether nothing of this token can be on disk. */
    surelyUnwritten: (tokenHash: TokenHash) => waiting.get(tokenHash)?.certain === true,
    isFull: () => waiting.size >= maxUnstored,
    add: (entry: TokenEntry, certain: boolean) => {
      waiting.set(entry.capability.tokenHash, { entry, certain })
      measure()
      return some.open
    },
    drop,
    storeAll,
    /** Runs while nothing that waits is being stored. */
    exclusively: storing.withPermit,
  }
})
