/**
 * Boxes that are booted and empty, so that a service starts without waiting for Node. Bounded; it
 * refills in the background, one box at a time.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { StartFailed } from "solo"

import type { Box } from "./Box.ts"

/** Pause after a box could not be booted, in milliseconds. */
const pauseMs = 1000

/** A pool. */
export interface Pool {
  /** A warm box, which is the caller's from now on; `undefined` when there is none. */
  readonly take: Effect.Effect<Box | undefined>
  /** How many are warm now. */
  readonly size: () => number
}

const stopped = { reason: "the pool was closed" }

/** Keeps `size` boxes made by `boot` for as long as the scope lives. */
export const makePool = (
  size: number,
  boot: Effect.Effect<Box, StartFailed>,
): Effect.Effect<Pool, never, Scope.Scope> =>
  Effect.gen(function* () {
    const warm: Array<Box> = []
    const room = yield* Semaphore.make(size)
    const refill = Effect.gen(function* () {
      yield* room.take(1)
      const exit = yield* Effect.exit(boot)
      if (Exit.isSuccess(exit)) {
        warm.push(exit.value)
        return
      }
      yield* room.release(1)
      yield* Effect.logWarning("an empty box could not be booted", exit.cause)
      yield* Effect.sleep(pauseMs)
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const box of warm.splice(0)) box.end(stopped)
      }),
    )
    if (size > 0) yield* Effect.forkScoped(Effect.forever(refill))
    return {
      size: () => warm.length,
      take: Effect.gen(function* () {
        for (;;) {
          const box = warm.shift()
          if (box === undefined) return undefined
          yield* room.release(1)
          if (!box.isGone) return box
        }
      }),
    }
  })
