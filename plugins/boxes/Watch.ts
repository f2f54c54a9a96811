/**
 * Looks after all running boxes with one clock: asks each for signs of life, ends those that are
 * silent for longer or busier than they may be, and has the greedy ones wait for the others.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

import type { Box } from "./Box.ts"
import type { BoxSettings } from "./BoxSettings.ts"
import { type Needs, Priority } from "./Priority.ts"

/** How often the clock ticks, and how often a box is asked: every so many ticks. */
const tickMs = 100
const ticksPerPing = 10
/** The share of its silence that a box must have been busy to be called stalled, */
const busyShare = 0.1
/** and how many times as long it may be silent when it was not. */
const starvedFactor = 6
/** A pause between ticks that means that the kernel itself was held up. */
const heldUpMs = 5 * tickMs

/** Takes boxes in, and lets go of them when they end. */
export interface Watch {
  readonly add: (box: Box, needs: Needs) => void
  readonly remove: (box: Box, isCrash: boolean) => void
  /** Whether a service was greedy when it last ended. */
  readonly wasGreedy: (key: string) => boolean
}

/** Watches boxes for as long as the scope lives. */
export const makeWatch = ({
  cpuWindowMs,
  stallMs,
}: Pick<BoxSettings, "cpuWindowMs" | "stallMs">): Effect.Effect<Watch, never, Scope.Scope> =>
  Effect.gen(function* () {
    const priority = new Priority(cpuWindowMs)
    const clock = yield* Clock.Clock
    const currentTime = () => clock.currentTimeMillisUnsafe()
    let ticks = 0
    let last = currentTime()
    const needs = new Map<Box, Needs>()
    const endBusy = (box: Box): void => {
      const value = needs.get(box)!.cpuPercent
      box.end({
        reason: `the service took more than ${value} % of one processor for ${cpuWindowMs} ms (limits.cpuPercent)`,
        violation: { limit: "cpuPercent", value },
      })
    }
    // A box that gets no processor is late, not stalled; but nobody waits for it for ever.
    const isToBlame = (box: Box, silentMs: number): boolean =>
      silentMs > starvedFactor * stallMs || (box.busyMs ?? silentMs) > busyShare * silentMs
    const tick = Effect.sync(() => {
      const now = currentTime()
      const isHeldUp = now - last > heldUpMs
      last = now
      ticks++
      for (const box of needs.keys()) {
        // Whoever was late, it may have been the kernel: then no box is to blame.
        if (isHeldUp) box.forgive(now)
        const since = box.silentSince
        if (since !== undefined && now - since > stallMs && isToBlame(box, now - since))
          box.end({
            reason: `the service stalled: its event loop did not turn for ${stallMs} ms (stallMs)`,
            violation: { limit: "stallMs", value: stallMs },
          })
        else if (ticks % ticksPerPing === 0) box.ping(now)
      }
      for (const box of priority.tick(now)) endBusy(box)
    })
    yield* Effect.forkScoped(Effect.repeat(tick, Schedule.spaced(tickMs)))
    return {
      add: (box, its) => {
        needs.set(box, its)
        priority.add(box, its, currentTime())
        box.ping(currentTime())
      },
      remove: (box, isCrash) => {
        needs.delete(box)
        priority.remove(box, isCrash, currentTime())
      },
      wasGreedy: (key) => priority.wasGreedy(key, currentTime()),
    }
  })
