/**
 * Supervision under the test's clock: restart types, intensity, backoff, giving up, and stopping
 * what does not want to stop (promises 4, 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Stream from "effect/Stream"

import { steadyMs } from "../../src/domain/Decision.ts"
import type { EventType } from "../../src/domain/Event.ts"
import { cuts } from "./harness/Cuts.ts"
import { makeFaults } from "./harness/FaultyStorage.ts"
import {
  boot,
  deploy,
  halt,
  type Kernel,
  kill,
  named,
  pass,
  running,
  settle,
  statusOf,
  typesOf,
} from "./harness/Machine.ts"

const a = named("acme", "a")

const since = (kernel: Kernel, type: EventType) =>
  Effect.map(typesOf(kernel), (types) => types.slice(types.lastIndexOf(type) + 1))

const view = (kernel: Kernel) => kernel.deployer.status(a.tenantId, a.serviceId)

const endings = [
  ["permanent", "crash", "running"],
  ["permanent", "end", "running"],
  ["transient", "crash", "running"],
  ["transient", "end", "stopped"],
  ["temporary", "crash", "failed"],
  ["temporary", "end", "stopped"],
] as const

describe("Supervisor", () => {
  for (const [restart, how, expected] of endings) {
    it.effect(`a ${restart} service is ${expected} after its ${how}`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const script = how === "crash" ? { crashAfterMs: 1000 } : { endAfterMs: 1000 }
        yield* deploy(kernel, a, script, { restart })
        yield* pass(1000)
        yield* pass(200)
        assert.strictEqual(yield* statusOf(kernel, a), expected)
        assert.strictEqual(running(kernel).length, expected === "running" ? 1 : 0)
        assert.deepStrictEqual(yield* since(kernel, "service_deployed"), [
          ...(how === "crash" ? ["service_crashed"] : []),
          ...(expected === "running" ? ["service_restarted"] : []),
        ])
        const { lastError, restarts, startedAt } = yield* view(kernel)
        assert.strictEqual(lastError, how === "crash" ? "scripted" : null)
        assert.strictEqual(restarts, expected === "running" ? 1 : 0)
        assert.strictEqual(startedAt === null, expected !== "running")
      }),
    )
  }

  it.effect("remembers quick crashes beyond a window too short for them, until a steady run", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { limits: { maxRestarts: 1000, maxSeconds: 1 } })
      const crashAndWait = Effect.fnUntraced(function* (delay: number) {
        kernel.world.crash(a)
        yield* pass(delay - 1)
        assert.strictEqual(yield* statusOf(kernel, a), "restarting", `before ${delay} ms`)
        yield* pass(1)
        assert.strictEqual(yield* statusOf(kernel, a), "running", `after ${delay} ms`)
      })
      for (const delay of [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]) {
        yield* crashAndWait(delay)
        yield* pass(steadyMs - 1)
      }
      yield* pass(1)
      yield* crashAndWait(100)
      yield* crashAndWait(200)
    }),
  )

  it.effect("doubles the delay before each restart within the window", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { limits: { maxRestarts: 4, maxSeconds: 3600 } })
      for (const delay of [100, 200, 400, 800]) {
        kernel.world.crash(a)
        yield* pass(delay - 1)
        assert.strictEqual(yield* statusOf(kernel, a), "restarting", `before ${delay} ms`)
        yield* pass(1)
        assert.strictEqual(yield* statusOf(kernel, a), "running", `after ${delay} ms`)
      }
      kernel.world.crash(a, "the last straw")
      yield* pass(60_000)
      assert.strictEqual(yield* statusOf(kernel, a), "failed")
      const [gaveUp] = yield* kernel.store.filter({ types: ["service_gave_up"] })
      assert.deepStrictEqual(gaveUp!.payload, {
        revision: 1,
        restarts: 4,
        reason: "the last straw",
      })
      assert.deepStrictEqual(running(kernel), [])
    }),
  )

  it.effect("forgets restarts that the window has left behind", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { limits: { maxRestarts: 1, maxSeconds: 10 } })
      for (let round = 0; round < 5; round++) {
        kernel.world.crash(a)
        yield* pass(100)
        assert.strictEqual(yield* statusOf(kernel, a), "running", `round ${round}`)
        yield* pass(10_000)
      }
      kernel.world.crash(a)
      yield* pass(100)
      kernel.world.crash(a)
      yield* pass(100)
      assert.strictEqual(yield* statusOf(kernel, a), "failed")
    }),
  )

  it.effect("maxRestarts 0 gives up at the first crash", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { limits: { maxRestarts: 0 } })
      kernel.world.crash(a)
      yield* settle
      assert.deepStrictEqual(yield* since(kernel, "service_deployed"), [
        "service_crashed",
        "service_gave_up",
      ])
    }),
  )

  it.effect("counts a start that fails or hangs as a crash", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { limits: { maxRestarts: 2, startupTimeoutMs: 1000 } })
      kernel.world.overrides.set("acme/a", { start: "hang" })
      kernel.world.crash(a)
      yield* pass(1200, 100)
      kernel.world.overrides.set("acme/a", { start: "fail" })
      yield* pass(1000, 100)
      assert.deepStrictEqual(yield* since(kernel, "service_deployed"), [
        "service_crashed",
        "service_crashed",
        "service_crashed",
        "service_gave_up",
      ])
    }),
  )

  it.effect("gives up on what ends again and again, though it never crashes", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { endAfterMs: 10 }, { limits: { maxRestarts: 2 } })
      yield* pass(1000, 10)
      const [gaveUp] = yield* kernel.store.filter({ types: ["service_gave_up"] })
      assert.deepInclude(gaveUp!.payload, { restarts: 2, reason: "it stopped again and again" })
      assert.strictEqual(yield* statusOf(kernel, a), "failed")
    }),
  )

  it.effect("leaves nothing of a start that comes after its time (promise 10)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const limits = { startupTimeoutMs: 1000 }
      const late = deploy(kernel, a, { startMs: 1001 }, { limits })
      const deploying = yield* Effect.forkChild(Effect.flip(late))
      yield* pass(10_000, 500)
      assert.strictEqual((yield* Fiber.join(deploying))._tag, "StartTimedOut")
      assert.deepStrictEqual(kernel.world.history, [])
    }),
  )

  for (const start of ["fail", "hang"] as const) {
    it.effect(`keeps what a service says before its start comes to nothing (${start})`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        const script = { says: "no such table", start }
        const deploying = yield* Effect.forkChild(
          Effect.flip(deploy(kernel, a, script, { limits: { startupTimeoutMs: 1000 } })),
        )
        yield* pass(900, 100)
        const follower = yield* Effect.forkChild(Stream.runCollect(kernel.logs.follow(a)))
        yield* pass(2000, 100)
        yield* Fiber.join(deploying)
        for (const lines of [yield* kernel.logs.read(a), yield* Fiber.join(follower)])
          assert.deepStrictEqual(
            lines.map(({ message }) => message),
            ["no such table"],
          )
      }),
    )
  }

  it.effect("a crash between start and supervision is seen", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { crashAfterMs: 0 }, { restart: "temporary" })
      yield* pass(0)
      assert.strictEqual(yield* statusOf(kernel, a), "failed")
    }),
  )

  it.effect("a deployment replaces what gave up; a kill ends what waits for its restart", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { limits: { maxRestarts: 0 } })
      kernel.world.crash(a)
      yield* settle
      const same = yield* deploy(kernel, a, {}, { limits: { maxRestarts: 0 } })
      assert.deepInclude(same.service, { revision: 1, status: "running" })
      assert.isFalse(same.created, "it is a fact already")
      yield* kill(kernel, a)
      yield* deploy(kernel, a)
      kernel.world.crash(a)
      yield* settle
      assert.strictEqual(yield* statusOf(kernel, a), "restarting")
      yield* kill(kernel, a)
      yield* pass(10_000)
      assert.deepStrictEqual(running(kernel), [], "promise 2")
    }),
  )

  it.effect("a kill during a restart leaves nothing behind, wherever the restart is", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      for (const turns of cuts(120, 2)) {
        // Its watcher yields all the time, so that the kill can hit it in the middle of anything.
        yield* Effect.provideService(deploy(kernel, a), References.MaxOpsBeforeYield, 4)
        kernel.world.crash(a)
        yield* settle
        yield* Effect.forkChild(pass(100))
        yield* Effect.repeat(Effect.yieldNow, { times: turns })
        yield* kill(kernel, a, true)
        yield* pass(1000)
        assert.deepStrictEqual(running(kernel), [], `promise 2, after ${turns} turns`)
        assert.strictEqual(yield* statusOf(kernel, a), "absent")
      }
    }),
  )

  it.effect("restarts services although the log takes nothing", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      yield* deploy(kernel, a)
      faults.failWhile((sql) => sql.includes("INSERT INTO events"))
      kernel.world.crash(a)
      yield* pass(100)
      assert.strictEqual(yield* statusOf(kernel, a), "running")
    }),
  )

  it.effect("asks every service to stop before the kernel ends, restarted ones too", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const b = named("acme", "b")
      yield* deploy(kernel, a)
      yield* deploy(kernel, b)
      kernel.world.crash(b)
      yield* pass(100)
      kernel.world.history.length = 0
      yield* halt(kernel)
      for (const name of ["acme/a@1", "acme/b@1"]) {
        const own = kernel.world.history.filter((entry) => entry.endsWith(name))
        assert.strictEqual(own[0], `stop ${name}`, "asked first")
        assert.include(own, `release ${name}`)
      }
    }),
  )

  it.effect("stops 150 services that ignore it in the time of one", () =>
    Effect.gen(function* () {
      const kernel = yield* boot({ settings: { shutdownTimeoutMs: 10_000 } })
      const names = Array.from({ length: 150 }, (_, n) => named("acme", `s${n}`))
      for (const name of names) yield* deploy(kernel, name, { stop: "stuck" })
      const halting = yield* Effect.forkChild(halt(kernel))
      yield* pass(5000)
      assert.deepStrictEqual(running(kernel), [])
      yield* Fiber.join(halting)
    }),
  )
})
