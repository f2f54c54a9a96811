/**
 * The order of a start, and what does not stop it: a verification that finds or breaks something
 * (promise 4); and what does: a log that cannot be read (promise 9).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as SubscriptionRef from "effect/SubscriptionRef"

import {
  boot,
  build,
  deploy,
  halt,
  type Kernel,
  named,
  pass,
  pullPlug,
  settle,
  statusOf,
  typesOf,
} from "./harness/Machine.ts"
import { edit } from "./harness/Recovery.ts"
import { makeWorld } from "./harness/ScriptedRuntime.ts"

const a = named("acme", "a")

const phaseOf = (kernel: Kernel) => SubscriptionRef.getUnsafe(kernel.readiness).status

/** What a pulled plug leaves of a kernel that runs `a`, after `statements`. */
const remains = Effect.fnUntraced(function* (...statements: ReadonlyArray<string>) {
  const kernel = yield* boot()
  yield* deploy(kernel, a)
  const disk = pullPlug(kernel)
  yield* edit(disk, ...statements)
  return disk
})

describe("startup", () => {
  it.effect("is ready once the services are back and that was verified, and not before", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.overrides.set("acme/a", { startMs: 500 })
      const [kernel, start] = yield* build({ disk: yield* remains(), world })
      yield* Effect.addFinalizer(() => halt(kernel))
      assert.deepStrictEqual(SubscriptionRef.getUnsafe(kernel.readiness), {
        status: "recovering",
        recovered: 0,
        failed: 0,
        total: 0,
      })
      const verified = Effect.map(
        typesOf(kernel),
        (types) => types.filter((type) => type === "verification_completed").length,
      )
      const before = yield* verified
      const starting = yield* Effect.forkChild(start)
      yield* pass(499)
      assert.strictEqual(phaseOf(kernel), "recovering")
      yield* pass(1)
      yield* Fiber.join(starting)
      assert.strictEqual(phaseOf(kernel), "ready")
      assert.strictEqual(yield* statusOf(kernel, a), "running")
      assert.strictEqual((yield* verified) - before, 1)
    }),
  )

  it.effect("repairs what recovery came to where that is wanted, and only there", () =>
    Effect.gen(function* () {
      for (const autoFix of [false, true]) {
        const disk = yield* remains("DELETE FROM artifacts")
        const kernel = yield* boot({ disk, settings: { autoFix } })
        const types = yield* typesOf(kernel)
        assert.include(types, "inconsistency_detected")
        assert.strictEqual(types.includes("auto_fix_applied"), autoFix)
        assert.strictEqual(phaseOf(kernel), "ready")
      }
    }),
  )

  it.effect("goes on although it cannot verify (promise 4)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot({ disk: yield* remains("DROP TABLE artifacts") })
      assert.strictEqual(phaseOf(kernel), "ready")
      assert.deepStrictEqual(kernel.lifecycle.problems(), [])
    }),
  )

  it.effect("fails where the log cannot be read, and is then no clean run (promise 9)", () =>
    Effect.gen(function* () {
      const disk = yield* remains()
      const [kernel, start] = yield* build({ disk })
      yield* edit(disk, "ALTER TABLE events RENAME TO lost")
      const error = yield* Effect.flip(start)
      assert.strictEqual(error._tag, "StorageError")
      yield* edit(disk, "ALTER TABLE lost RENAME TO events")
      yield* halt(kernel)
      assert.include(kernel.lifecycle.problems()[0], "start-up: ")
      assert.notInclude(
        (yield* typesOf(yield* boot({ disk }))).slice(0, -3),
        "system_shutdown_complete",
      )
    }),
  )

  it.effect("a kernel that is stopped while it starts does not become ready again", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.overrides.set("acme/a", { startMs: 500 })
      const [kernel, start] = yield* build({ disk: yield* remains(), world })
      const starting = yield* Effect.forkChild(start)
      yield* settle
      yield* kernel.lifecycle.shutdown("in the middle of it")
      yield* pass(500)
      yield* Fiber.join(starting)
      assert.strictEqual(phaseOf(kernel), "stopping")
      yield* halt(kernel)
    }),
  )
})
