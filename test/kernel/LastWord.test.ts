/**
 * The last word of a run: written once all else is, waited for, and true (promise 9).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"

import { makeFaults } from "./harness/FaultyStorage.ts"
import { boot, halt, pass } from "./harness/Machine.ts"

describe("the last word", () => {
  it.effect("a last word that takes long is waited for: it is durable, so the run is clean", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open, settings: { shutdownTimeoutMs: 10_000 } })
      // What is announced before is in the log by then.
      kernel.lifecycle.onFlush(
        "the rest",
        Effect.sync(() => faults.delayWhile((sql) => sql.includes("INSERT INTO events"), 9000)),
      )
      const halting = yield* Effect.forkChild(halt(kernel))
      yield* pass(9000)
      yield* Fiber.join(halting)
      const next = yield* boot({ disk: kernel.disk })
      assert.strictEqual(next.lifecycle.previousEnd, "clean")
      assert.deepStrictEqual(kernel.lifecycle.problems(), [], "promise 9: a clean run has none")
    }),
  )

  it.effect("says that the shutdown is complete only when it is, else what was wrong", () =>
    Effect.gen(function* () {
      const said: Array<string> = []
      const logger = Logger.make<unknown, void>(({ message }) => {
        if (/shutdown (complete|was)/.test(String(message))) said.push(String(message))
      })
      yield* halt(yield* boot({ logger }))
      assert.deepStrictEqual(said.splice(0), ["shutdown complete in 0 ms"])
      const faults = makeFaults()
      const second = yield* boot({ open: faults.open, logger })
      let inserts = 0
      faults.failWhile((sql) => sql.includes("INSERT INTO events") && ++inserts > 1)
      yield* halt(second)
      assert.strictEqual(said.length, 1)
      assert.match(said[0]!, /^the shutdown was not clean: last word: append: /)
    }),
  )

  it.effect("a last word that cannot be written is a problem, and no clean end", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      let inserts = 0
      // The first is the announcement.
      faults.failWhile((sql) => sql.includes("INSERT INTO events") && ++inserts > 1)
      yield* halt(kernel)
      assert.match(kernel.lifecycle.problems().join(), /^last word: append: /)
      const next = yield* boot({ disk: kernel.disk })
      assert.strictEqual(next.lifecycle.previousEnd, "unclean")
    }),
  )

  it.effect("the last word says how long the shutdown took", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000_000)
      const kernel = yield* boot()
      yield* kernel.lifecycle.shutdown("the test says so")
      yield* TestClock.adjust(250)
      yield* halt(kernel)
      const next = yield* boot({ disk: kernel.disk })
      const [started, complete] = yield* next.store.filter({
        types: ["system_shutdown_started", "system_shutdown_complete"],
      })
      assert.deepStrictEqual(started?.payload, { reason: "the test says so" })
      assert.deepStrictEqual(complete?.payload, { durationMs: 250 })
    }),
  )

  it.effect("a clock that is set back meanwhile does not spoil the last word", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000_000)
      const kernel = yield* boot()
      yield* kernel.lifecycle.shutdown("the test says so")
      yield* TestClock.setTime(999_000)
      yield* halt(kernel)
      assert.deepStrictEqual(kernel.lifecycle.problems(), [])
      const next = yield* boot({ disk: kernel.disk })
      assert.strictEqual(next.lifecycle.previousEnd, "clean")
    }),
  )
})
