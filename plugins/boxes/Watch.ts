/**
 * Looks after all running boxes with one clock: asks each for signs of life, and ends those that
 * are silent for longer than they may be or use more memory than they may.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

import type { Box } from "./Box.ts"

/** How often the clock ticks, and how often a box is asked: every so many ticks. */
const tickMs = 100
const ticksPerPing = 10
/** A pause between ticks that means that the kernel itself was held up. */
const heldUpMs = 5 * tickMs

/** Takes boxes in, and lets go of them when they end. */
export interface Watch {
  readonly add: (box: Box) => void
  readonly remove: (box: Box) => void
}

/** Watches boxes for as long as the scope lives. */
export const makeWatch = (stallMs: number): Effect.Effect<Watch, never, Scope.Scope> =>
  Effect.gen(function* () {
    const boxes = new Set<Box>()
    const clock = yield* Clock.Clock
    let ticks = 0
    let last = clock.currentTimeMillisUnsafe()
    const tick = Effect.sync(() => {
      const now = clock.currentTimeMillisUnsafe()
      const isHeldUp = now - last > heldUpMs
      last = now
      ticks++
      for (const box of boxes) {
        // Whoever was late, it may have been the kernel: then no box is to blame.
        if (isHeldUp) box.forgive(now)
        const since = box.silentSince
        if (since !== undefined && now - since > stallMs)
          box.end({
            reason: `the service stalled: its event loop did not turn for ${stallMs} ms (stallMs)`,
            violation: { limit: "stallMs", value: stallMs },
          })
        else if (ticks % ticksPerPing === 0) box.ping(now)
      }
    })
    yield* Effect.forkScoped(Effect.repeat(tick, Schedule.spaced(tickMs)))
    return {
      add: (box) => {
        boxes.add(box)
        box.ping(clock.currentTimeMillisUnsafe())
      },
      remove: (box) => void boxes.delete(box),
    }
  })
