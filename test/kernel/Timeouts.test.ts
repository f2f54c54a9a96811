/** Bounds on how long many short efforts take, shared by one fiber for each bound. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"

import { makeTimeouts, type Timeouts } from "../../src/kernel/services/Timeouts.ts"

const late = () => Effect.fail("late" as const)

/** Waits for ever, and says when it is told to stop. */
const stuck = Effect.gen(function* () {
  const stopped = yield* Deferred.make<void>()
  const effort = Effect.onInterrupt(Effect.never, () => Deferred.succeed(stopped, undefined))
  return { effort, stopped: Deferred.await(stopped) }
})

const started = { startImmediately: true } as const

const begin = <A, E>({ within }: Timeouts, ms: number, effort: Effect.Effect<A, E>) =>
  Effect.forkChild(Effect.exit(within(ms, effort, late)), started)

describe("Timeouts", () => {
  it.effect("passes on what came in time, and what failed", () =>
    Effect.gen(function* () {
      const { within } = yield* makeTimeouts
      assert.strictEqual(yield* within(10, Effect.succeed("now"), late), "now")
      const slow = yield* begin({ within }, 10, Effect.as(Effect.sleep(9), "soon"))
      const broken = yield* begin({ within }, 10, Effect.fail("broken"))
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(yield* Fiber.join(slow), Exit.succeed("soon"))
      assert.deepStrictEqual(yield* Fiber.join(broken), Exit.fail("broken"))
    }),
  )

  it.effect("interrupts what takes too long at its bound, each at its own", () =>
    Effect.gen(function* () {
      const timeouts = yield* makeTimeouts
      const [first, second, short] = [yield* stuck, yield* stuck, yield* stuck]
      const one = yield* begin(timeouts, 100, first.effort)
      yield* TestClock.adjust(60)
      const two = yield* begin(timeouts, 100, second.effort)
      const three = yield* begin(timeouts, 10, short.effort)
      yield* TestClock.adjust(39)
      assert.strictEqual(one.pollUnsafe(), undefined)
      assert.deepStrictEqual(yield* Fiber.join(three), Exit.fail("late"))
      yield* short.stopped
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(one), Exit.fail("late"))
      yield* first.stopped
      yield* TestClock.adjust(59)
      assert.strictEqual(two.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(two), Exit.fail("late"))
      // And again, after a time in which there was nothing to wait for.
      yield* TestClock.adjust(1000)
      const again = yield* begin(timeouts, 100, (yield* stuck).effort)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* Fiber.join(again), Exit.fail("late"))
    }),
  )

  it.effect("does not wait for an effort that will not stop", () =>
    Effect.gen(function* () {
      const timeouts = yield* makeTimeouts
      const stubborn = Effect.uninterruptible(Effect.sleep(1000))
      const waiting = yield* begin(timeouts, 10, stubborn)
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "Failure")
    }),
  )

  it.effect("interrupts the effort of whoever is interrupted", () =>
    Effect.gen(function* () {
      const timeouts = yield* makeTimeouts
      const { effort, stopped } = yield* stuck
      const waiting = yield* Effect.forkChild(timeouts.within(10, effort, late), started)
      yield* Fiber.interrupt(waiting)
      yield* stopped
    }),
  )

  it.effect("runs the effort with the services of whoever asks", () =>
    Effect.gen(function* () {
      const { within } = yield* makeTimeouts
      const scope = yield* Scope.make()
      const closed = yield* Deferred.make<void>()
      const effort = Effect.addFinalizer(() => Deferred.succeed(closed, undefined))
      yield* Scope.provide(within(10, effort, late), scope)
      assert.isFalse(yield* Deferred.isDone(closed))
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.await(closed)
    }),
  )
})
