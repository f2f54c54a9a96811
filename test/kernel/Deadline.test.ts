/**
 * Waiting that ends (promise 9: a shutdown comes to its end whatever hangs).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"

import { withDeadline } from "../../src/kernel/Deadline.ts"
import { settle } from "./harness/Machine.ts"

/** The result once `milliseconds` have passed, or `undefined` while there is none. */
const waited = Effect.fnUntraced(function* <A, E>(
  effect: Effect.Effect<A, E>,
  milliseconds: number,
) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  yield* settle
  yield* TestClock.adjust(milliseconds)
  yield* settle
  return fiber.pollUnsafe()
})

describe("withDeadline", () => {
  it.effect("answers what the work came to, well or badly", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* withDeadline(10, Effect.succeed(1)), Option.some(1))
      assert.strictEqual(yield* Effect.flip(withDeadline(10, Effect.fail("no"))), "no")
      const exit = yield* Effect.exit(withDeadline(10, Effect.die("broken")))
      assert.deepStrictEqual(exit, Exit.die("broken"))
    }),
  )

  it.effect("gives up at the deadline and not before, and tells the work to stop", () =>
    Effect.gen(function* () {
      let stopped = false
      const work = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          stopped = true
        }),
      )
      assert.isUndefined(yield* waited(withDeadline(10, work), 9))
      assert.isFalse(stopped)
      assert.deepStrictEqual(yield* waited(withDeadline(10, work), 10), Exit.succeed(Option.none()))
      assert.isTrue(stopped)
    }),
  )

  it.effect("leaves behind what does not stop", () =>
    Effect.gen(function* () {
      const stubborn = Effect.uninterruptible(Effect.never)
      assert.deepStrictEqual(
        yield* waited(withDeadline(10, stubborn), 10),
        Exit.succeed(Option.none()),
      )
    }),
  )

  it.effect("waits also in a fiber that was interrupted, as finalizers after a signal are", () =>
    Effect.gen(function* () {
      let ended: Option.Option<string> | undefined
      const closing = withDeadline(10, Effect.as(Effect.sleep(5), "flushed")).pipe(
        Effect.tap((result) =>
          Effect.sync(() => {
            ended = result
          }),
        ),
      )
      const fiber = yield* Effect.forkChild(
        Effect.onInterrupt(Effect.never, () => closing),
        {
          startImmediately: true,
        },
      )
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), {
        startImmediately: true,
      })
      yield* settle
      assert.isUndefined(ended, "it has not been waited for yet")
      yield* TestClock.adjust(5)
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(ended, Option.some("flushed"))
    }),
  )

  it.effect("is not cut short by an interruption, nor is its work", () =>
    Effect.gen(function* () {
      let done = false
      const work = Effect.andThen(
        Effect.sleep(5),
        Effect.sync(() => {
          done = true
        }),
      )
      const fiber = yield* Effect.forkChild(withDeadline(10, work), { startImmediately: true })
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), {
        startImmediately: true,
      })
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(5)
      yield* Fiber.join(interrupting)
      assert.isTrue(done)
    }),
  )
})
