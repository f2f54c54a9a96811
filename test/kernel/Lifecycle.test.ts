/**
 * The beginning and the end of a run: promise 9, and tasks 3.1 to 3.7 of the checklist as far as
 * they lie below the process itself.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as TestClock from "effect/testing/TestClock"

import { draft } from "../../src/domain/Event.ts"
import { makeFaults } from "./harness/FaultyStorage.ts"
import {
  boot,
  build,
  deploy,
  halt,
  named,
  pass,
  pullPlug,
  running,
  settle,
  statusOf,
  typesOf,
} from "./harness/Machine.ts"
import { makeWorld } from "./harness/ScriptedRuntime.ts"

const a = named("acme", "a")

const shutdownOf = (types: ReadonlyArray<string>) =>
  types.filter((type) => type.startsWith("system_"))

/** What the next kernel on the same disk finds. */
const afterwards = (kernel: Effect.Success<ReturnType<typeof boot>>) =>
  Effect.gen(function* () {
    const world = makeWorld()
    world.overrides.set("acme/a", {})
    const next = yield* boot({ disk: kernel.disk, world })
    return { next, types: yield* typesOf(next) }
  })

describe("Lifecycle", () => {
  it.effect("3.7.1 closing the kernel's scope is what a signal does: it shuts down once", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* halt(kernel)
      yield* halt(kernel)
      yield* kernel.lifecycle.shutdown("again")
      const { types } = yield* afterwards(kernel)
      assert.deepStrictEqual(shutdownOf(types), [
        "system_started",
        "system_shutdown_started",
        "system_shutdown_complete",
        "system_started",
      ])
    }),
  )

  it.effect(
    "3.7.1 a shutdown begun by interrupting the fiber that runs the kernel is a clean one",
    () =>
      Effect.gen(function* () {
        const booted = yield* Deferred.make<Effect.Success<ReturnType<typeof build>>[0]>()
        const main = yield* Effect.forkChild(
          Effect.scoped(
            Effect.gen(function* () {
              const [kernel, start] = yield* build()
              yield* Effect.addFinalizer((exit) => Scope.close(kernel.scope, exit))
              yield* start
              yield* Deferred.succeed(booted, kernel)
              return yield* Effect.never
            }),
          ),
        )
        const kernel = yield* Deferred.await(booted)
        yield* deploy(kernel, a)
        yield* Fiber.interrupt(main)
        assert.deepStrictEqual(kernel.lifecycle.problems(), [])
        assert.deepStrictEqual(running(kernel), [])
        assert.include(kernel.world.history, "stop acme/a@1", "it was asked")
        const { next, types } = yield* afterwards(kernel)
        assert.strictEqual(next.lifecycle.previousEnd, "clean")
        assert.include(types, "system_shutdown_complete")
      }),
  )

  it.effect(
    "3.7.2 3.7.3 the order of a shutdown: announced, services stopped, flushed, last word",
    () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        yield* deploy(kernel, a)
        const seen: Array<string> = []
        const look = (name: string) =>
          Effect.gen(function* () {
            seen.push(`${name}, ${running(kernel).length} running`)
            assert.strictEqual((yield* typesOf(kernel)).at(-1), "system_shutdown_started")
          }).pipe(Effect.orDie)
        kernel.lifecycle.onFlush("first", look("first"))
        kernel.lifecycle.onFlush("second", look("second"))
        yield* halt(kernel)
        assert.deepStrictEqual(seen, ["first, 0 running", "second, 0 running"])
        assert.deepStrictEqual(kernel.lifecycle.problems(), [])
        const phase = SubscriptionRef.getUnsafe(kernel.readiness)
        assert.strictEqual(phase.status, "stopping")
        const { next, types } = yield* afterwards(kernel)
        assert.notInclude(types, "service_killed", "stopping is not killing")
        assert.deepStrictEqual(running(next), ["acme/a@1"])
      }),
  )

  it.effect(
    "3.7.4 everything accepted before the shutdown is in the log after it (promise 9)",
    () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const drafts = Array.from({ length: 3000 }, (_, n) =>
          draft("service_crashed", { revision: 1, reason: `${n}` }, a),
        )
        const writing = yield* Effect.forkChild(
          Effect.forEach(drafts, (event) => Effect.exit(kernel.store.emit(event)), {
            concurrency: "unbounded",
          }),
          { startImmediately: true },
        )
        yield* halt(kernel)
        const acknowledged = (yield* Fiber.join(writing)).filter(Exit.isSuccess).length
        const { next } = yield* afterwards(kernel)
        const kept = yield* next.store.filter({ types: ["service_crashed"], limit: 1000 })
        assert.strictEqual(acknowledged, 3000)
        assert.strictEqual(kept.length, 1000)
        assert.strictEqual(next.lifecycle.previousEnd, "clean")
      }),
  )

  it.effect("nothing follows the last word, whoever still writes", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const straggler = yield* Effect.forkChild(
        Effect.forever(
          Effect.andThen(
            Effect.exit(
              kernel.store.emit(draft("service_crashed", { revision: 1, reason: "" }, a)),
            ),
            Effect.yieldNow,
          ),
        ),
      )
      yield* settle
      yield* halt(kernel)
      yield* Fiber.interrupt(straggler)
      const { next, types } = yield* afterwards(kernel)
      assert.strictEqual(next.lifecycle.previousEnd, "clean")
      assert.strictEqual(types[types.lastIndexOf("system_started") - 1], "system_shutdown_complete")
    }),
  )

  it.effect("3.7.6 a flush that hangs is left, named, and the run is not called clean", () =>
    Effect.gen(function* () {
      for (const hanging of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        const kernel = yield* boot({ settings: { shutdownTimeoutMs: 10_000 } })
        let flushed = false
        kernel.lifecycle.onFlush("the vault", hanging)
        kernel.lifecycle.onFlush(
          "the rest",
          Effect.sync(() => {
            flushed = true
          }),
        )
        const halting = yield* Effect.forkChild(halt(kernel))
        yield* pass(2000)
        yield* Fiber.join(halting)
        assert.isTrue(flushed, "what hangs holds up nothing else")
        assert.match(kernel.lifecycle.problems().join(), /flush the vault: it took too long/)
        const { next } = yield* afterwards(kernel)
        assert.strictEqual(next.lifecycle.previousEnd, "unclean")
      }
    }),
  )

  it.effect("3.7.5 a flush that fails or breaks is a problem, and no last word is written", () =>
    Effect.gen(function* () {
      for (const flush of [Effect.fail({ message: "no" }), Effect.die(new Error("broken"))]) {
        const kernel = yield* boot()
        kernel.lifecycle.onFlush("the vault", flush)
        yield* halt(kernel)
        assert.match(kernel.lifecycle.problems().join(), /flush the vault/)
        const { next, types } = yield* afterwards(kernel)
        assert.notInclude(types, "system_shutdown_complete")
        assert.strictEqual(next.lifecycle.previousEnd, "unclean")
      }
    }),
  )

  it.effect(
    "3.7.5 a log that takes nothing any more makes it an unclean end, not a hanging one",
    () =>
      Effect.gen(function* () {
        const faults = makeFaults()
        const kernel = yield* boot({ open: faults.open })
        yield* deploy(kernel, a)
        faults.failWhile((sql) => sql.includes("INSERT INTO events"))
        yield* halt(kernel)
        assert.isNotEmpty(kernel.lifecycle.problems())
        const { next } = yield* afterwards(kernel)
        assert.strictEqual(next.lifecycle.previousEnd, "unclean")
        assert.deepStrictEqual(running(next), ["acme/a@1"])
      }),
  )

  it.effect("a service that ignores stop is killed in its time; the rest is as clean as ever", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { stop: "hang" }, { limits: { shutdownTimeoutMs: 1000 } })
      const halting = yield* Effect.forkChild(halt(kernel))
      yield* pass(1000)
      yield* Fiber.join(halting)
      assert.deepStrictEqual(running(kernel), [])
      const { next } = yield* afterwards(kernel)
      assert.strictEqual(next.lifecycle.previousEnd, "clean")
    }),
  )

  it.effect("tells the first run, a clean end and a pulled plug apart", () =>
    Effect.gen(function* () {
      const first = yield* boot()
      assert.strictEqual(first.lifecycle.previousEnd, "none")
      const crashed = yield* boot({ disk: pullPlug(first) })
      assert.strictEqual(crashed.lifecycle.previousEnd, "unclean")
      yield* halt(crashed)
      const clean = yield* boot({ disk: crashed.disk })
      assert.strictEqual(clean.lifecycle.previousEnd, "clean")
      const started = yield* clean.store.filter({ types: ["system_started"] })
      assert.deepStrictEqual(
        started.map((event) => (event.payload as { previousEnd: string }).previousEnd),
        ["none", "unclean", "clean"],
      )
    }),
  )

  it.effect(
    "a deployment under way when the kernel stops is there afterwards, or was refused",
    () =>
      Effect.gen(function* () {
        for (const wait of [0, 2, 5, 10, 20, 40]) {
          const kernel = yield* boot()
          const deploying = yield* Effect.forkChild(Effect.exit(deploy(kernel, a)))
          yield* Effect.repeat(Effect.yieldNow, { times: wait })
          yield* halt(kernel)
          const exit = yield* Fiber.join(deploying)
          assert.deepStrictEqual(running(kernel), [], "no service outlives its kernel")
          const { next } = yield* afterwards(kernel)
          const expected = Exit.isSuccess(exit) ? "running" : "absent"
          assert.strictEqual(yield* statusOf(next, a), expected, `promise 1, after ${wait} turns`)
          assert.strictEqual(next.lifecycle.previousEnd, "clean")
        }
      }),
  )

  it.effect(
    "3.7.6 however much hangs, the whole ends about in time, and what can be flushed is",
    () =>
      Effect.gen(function* () {
        const kernel = yield* boot({ settings: { shutdownTimeoutMs: 10_000 } })
        for (let n = 0; n < 30; n++) kernel.lifecycle.onFlush(`${n}`, Effect.never)
        let flushed = false
        kernel.lifecycle.onFlush(
          "last",
          Effect.sync(() => {
            flushed = true
          }),
        )
        const halting = yield* Effect.forkChild(halt(kernel))
        yield* pass(12_000, 250)
        yield* Fiber.join(halting)
        assert.strictEqual(kernel.lifecycle.problems().length, 30)
        assert.isTrue(flushed)
      }),
  )

  it.effect(
    "3.7.6 a part of the shutdown has its share of the time, and a last chance after it",
    () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        const kernel = yield* boot({ settings: { shutdownTimeoutMs: 10_000 } })
        const done: Array<string> = []
        const takes = (name: string, milliseconds: number) =>
          kernel.lifecycle.onFlush(
            name,
            Effect.andThen(
              Effect.sleep(milliseconds),
              Effect.sync(() => void done.push(name)),
            ),
          )
        // A fifth of it each, as long as there is any.
        takes("long", 1975)
        takes("too long", 2025)
        for (const name of ["a", "b", "c"]) takes(name, 1975)
        takes("what is left", 75)
        takes("hardly anything is left", 25)
        takes("nothing is left", 25)
        takes("too late", 75)
        const halting = yield* Effect.forkChild(halt(kernel))
        yield* pass(10_200, 25)
        yield* Fiber.join(halting)
        assert.deepStrictEqual(done, [
          "long",
          "a",
          "b",
          "c",
          "what is left",
          "hardly anything is left",
          "nothing is left",
        ])
        assert.deepStrictEqual(kernel.lifecycle.problems(), [
          "flush too long: it took too long",
          "flush too late: it took too long",
        ])
      }),
  )

  it.effect("names each part of the shutdown that the log would not take (promise 9)", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      kernel.lifecycle.onFlush(
        "the rest",
        Effect.sync(() => faults.failWhile((sql) => /^COMMIT/i.test(sql))),
      )
      yield* halt(kernel)
      const [problem, ...others] = kernel.lifecycle.problems()
      assert.match(problem!, /^flush the event store: append: /)
      assert.deepStrictEqual(others, [])

      const full = makeFaults()
      const second = yield* boot({ open: full.open })
      full.failWhile((sql) => sql.includes("INSERT INTO events"))
      yield* second.lifecycle.shutdown("the disk is full")
      full.stop()
      yield* halt(second)
      assert.strictEqual(second.lifecycle.problems().length, 1)
      assert.match(second.lifecycle.problems()[0]!, /^announce: append: /)
    }),
  )
})
