/**
 * What the tests of schedules share: a time to begin at, a clock that can be set, and what a kernel
 * ran and told.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

import { type Kernel, named } from "./harness/Machine.ts"
import type { World } from "./harness/ScriptedRuntime.ts"
import { outside } from "./Workbench.ts"

export const a = named("acme", "a")
export const minute = 60_000
export const noon = Date.UTC(2026, 0, 1, 12)
export const everyMinute = { crons: ["* * * * *"] }

export const begin = TestClock.setTime(noon)

/** A wall clock that can be set, while time itself goes on as the test lets it. */
export const settable = Effect.map(Clock.Clock, (clock) => {
  let offset = 0
  const now = () => clock.currentTimeMillisUnsafe() + offset
  const wall: Clock.Clock = {
    // The test goes on moving it.
    ...clock,
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now),
    currentTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
  }
  return { wall, shift: (milliseconds: number) => void (offset += milliseconds) }
})

/** The due times that services were called for, in minutes after noon. */
export const fired = (world: World) =>
  world.fired.map(({ scheduledTime }) => (scheduledTime - noon) / minute)

export const missedBy = (kernel: Kernel) =>
  Effect.map(kernel.store.filter({ types: ["schedule_missed"] }), (events) =>
    events.map(({ payload }) => payload as { count: number; dueAt: string; reason: string }),
  )

export const missed = (kernel: Kernel) =>
  Effect.map(missedBy(kernel), (all) => all.map(({ count, reason }) => `${count}: ${reason}`))

export const rows = (kernel: Kernel) =>
  outside(kernel.disk.database, (database) => database.prepare("SELECT * FROM schedules").all())
