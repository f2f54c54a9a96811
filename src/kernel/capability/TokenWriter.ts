/**
 * Brings tokens to disk and takes them off again, while storage works and while it does not. A
 * token that could not be stored stays in memory and is stored later; revoking it meanwhile makes
 * sure that it never is (promise 2).
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"

import type { Capability } from "../../domain/Capability.ts"
import type { AppendError } from "../log/EventStore.ts"
import { InvalidToken, TooManyUnstored } from "./CapabilityManager.ts"
import type { TokenEntry, TokenIndex } from "./TokenIndex.ts"
import { TokenStore } from "./TokenStore.ts"
import { makeUnstoredTokens, maxUnstored, persisted, surelyUnwritten } from "./UnstoredTokens.ts"

/** Whether the store takes nothing at all, as opposed to not taking this. */
const isStorageTrouble = (error: AppendError): boolean =>
  error._tag === "StorageError" || error._tag === "LogOverloaded"

const warn = ({ tokenHash }: Capability, reason: string) =>
  Effect.logWarning("a token is in memory only until storage works again").pipe(
    Effect.annotateLogs({ tokenHash, reason }),
  )

/** @see makeTokenWriter */
export type TokenWriter = Effect.Success<ReturnType<typeof makeTokenWriter>>

/** Keeps disk and index in step. */
export const makeTokenWriter = Effect.fnUntraced(function* (index: TokenIndex) {
  const store = yield* TokenStore
  const unstored = yield* makeUnstoredTokens(index)

  /** Stores a new token; why it must wait, or `undefined` when it is durable. */
  const tryStore = Effect.fnUntraced(function* (capability: Capability) {
    if (capability.parent !== null && unstored.has(capability.parent)) return "parent" as const
    const result = yield* Effect.result(store.storeToken(capability))
    if (Result.isSuccess(result)) return undefined
    const error = result.failure
    if (error._tag === "InvalidCapability") return yield* Effect.die(error)
    if (error._tag === "ParentGone") return yield* new InvalidToken({ reason: "unknown" })
    if (!isStorageTrouble(error)) return yield* error
    return error
  })

  return {
    /**
     * Puts a token on disk and into the index. When storage fails it goes to the index alone, as
     * one that is not durable.
     */
    add: Effect.fnUntraced(function* (capability: Capability) {
      const obstacle = yield* tryStore(capability)
      if (obstacle !== undefined && unstored.isFull())
        return yield* new TooManyUnstored({ maximum: maxUnstored })
      const entry = index.add(capability, obstacle === undefined)
      // The parent was revoked meanwhile, and took the row with it.
      if (entry === undefined) return yield* new InvalidToken({ reason: "unknown" })
      if (obstacle === undefined) {
        yield* Metric.update(persisted, 1)
        return entry
      }
      yield* unstored.add(entry, obstacle === "parent" || surelyUnwritten(obstacle))
      yield* warn(capability, obstacle === "parent" ? "its parent waits too" : obstacle.message)
      return entry
    }, Effect.uninterruptible),

    /** Takes a token and its descendants off the disk and out of the index; those removed. */
    remove: Effect.fnUntraced(function* (entry: TokenEntry, actor: string) {
      const { tokenHash, tenantId } = entry.capability
      const family = index.family(entry)
      const descendants = family.length - 1
      const revoke = store.revokeToken({ tokenHash, tenantId, actor, descendants })
      const forget = () => {
        const removed = index.remove(entry)
        unstored.drop(removed)
        return removed
      }
      if (!family.some(({ capability }) => unstored.has(capability.tokenHash)))
        return yield* Effect.map(revoke, forget)
      return yield* unstored.exclusively(
        Effect.catch(Effect.map(revoke, forget), (error) =>
          // Where nothing of them is on disk, there is nothing that could come back.
          index
            .family(entry)
            .every((member) => unstored.surelyUnwritten(member.capability.tokenHash))
            ? Effect.sync(forget)
            : Effect.fail(error),
        ),
      )
    }, Effect.uninterruptible),

    /** Forgets what waits and is no longer wanted. */
    drop: unstored.drop,

    /** Stores all that waits; fails when that is impossible. */
    flush: Effect.andThen(unstored.storeAll, store.flush),
  }
})
