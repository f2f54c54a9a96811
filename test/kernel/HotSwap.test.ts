/**
 * Hot swap and rollback against real storage and scripted services: the new revision takes over or
 * the old one goes on, never none and never both (promises 1, 2, 3, 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

import {
  boot,
  callerOf,
  deploy,
  halt,
  kill,
  type Kernel,
  named,
  pass,
  rollback,
  running,
  settle,
  specOf,
  statusOf,
  swap,
  typesOf,
} from "./harness/Machine.ts"
import { countOf, reboot } from "./harness/Recovery.ts"

const a = named("acme", "a")
const get = { method: "GET", url: "http://service/", headers: [], body: null }

const swapsOf = (kernel: Kernel) =>
  Effect.map(typesOf(kernel), (types) => types.filter((type) => type.startsWith("hot_swap")))

/** The revision that answers a request. */
const answering = (kernel: Kernel) =>
  Effect.scoped(Effect.map(kernel.ingress.request(a, get), ({ headers }) => Number(headers[0]![1])))

const revisionOf = (kernel: Kernel) =>
  Effect.map(kernel.deployer.status(a.tenantId, a.serviceId), ({ revision }) => revision)

describe("a hot swap", () => {
  it.effect("takes over, is a fact, and stops the old revision (promise 1)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const service = yield* swap(kernel, a, { n: 2 })
      assert.deepInclude(service, { revision: 2, status: "running", restarts: 0 })
      assert.deepStrictEqual(running(kernel), ["acme/a@2"])
      assert.strictEqual(yield* answering(kernel), 2)
      const [started, succeeded] = yield* kernel.store.filter({
        types: ["hot_swap_started", "hot_swap_succeeded"],
      })
      assert.deepInclude(started!.payload, { from: 1, to: 2, artifact: service.artifact })
      assert.deepInclude(succeeded!.payload, { revision: 2, previousRevision: 1 })
      assert.strictEqual(succeeded!.actor, "token-of-the-test")
      assert.strictEqual(succeeded!.causationId, started!.id)
      assert.strictEqual(succeeded!.time, service.deployedAt)
      const next = yield* reboot(kernel)
      assert.deepStrictEqual(running(next), ["acme/a@2"])
      assert.strictEqual(yield* countOf(next, "service_deployed"), 1)
    }),
  )

  it.effect("is supervised from then on", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* swap(kernel, a, { n: 2 })
      kernel.world.crash(a)
      yield* pass(1000, 100)
      assert.deepStrictEqual(running(kernel), ["acme/a@2"])
      assert.strictEqual(yield* countOf(kernel, "service_restarted"), 1)
    }),
  )

  it.effect("to the identical spec changes nothing", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { n: 1 })
      assert.strictEqual((yield* swap(kernel, a, { n: 1 })).revision, 1)
      assert.deepStrictEqual(yield* swapsOf(kernel), [])
    }),
  )

  it.effect("needs a service that is deployed", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      assert.strictEqual((yield* Effect.flip(swap(kernel, a, {})))._tag, "ServiceNotFound")
      assert.strictEqual((yield* Effect.flip(rollback(kernel, a)))._tag, "ServiceNotFound")
      yield* deploy(kernel, a)
      yield* kill(kernel, a)
      assert.strictEqual((yield* Effect.flip(swap(kernel, a, { n: 2 })))._tag, "ServiceNotFound")
      assert.strictEqual((yield* Effect.flip(rollback(kernel, a)))._tag, "ServiceNotFound")
    }),
  )

  it.effect("replaces a service that has given up, and starts the same one again", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const terms = { restart: "temporary" }
      yield* deploy(kernel, a, {}, terms)
      kernel.world.crash(a)
      yield* settle
      assert.strictEqual(yield* statusOf(kernel, a), "failed")
      assert.strictEqual((yield* swap(kernel, a, {}, 0, terms)).revision, 1)
      assert.deepStrictEqual(yield* swapsOf(kernel), [])
      kernel.world.crash(a)
      yield* settle
      assert.deepInclude(yield* swap(kernel, a, { n: 2 }), { revision: 2, status: "running" })
    }),
  )

  it.effect("needs no room of its own", () =>
    Effect.gen(function* () {
      const kernel = yield* boot({ settings: { maxServices: 1, maxServicesPerTenant: 1 } })
      yield* deploy(kernel, a)
      assert.strictEqual((yield* swap(kernel, a, { n: 2 })).revision, 2)
    }),
  )

  for (const [what, script, tag, events] of [
    ["does not compile", { compile: "fail" }, "CompileFailed", ["hot_swap_failed"]],
    ["throws in start", { start: "fail" }, "StartFailed", ["hot_swap_started", "hot_swap_failed"]],
    ["breaks the driver", { start: "die" }, "StartFailed", ["hot_swap_started", "hot_swap_failed"]],
  ] as const) {
    it.effect(`to a service that ${what} leaves the old one alone`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        yield* deploy(kernel, a)
        assert.strictEqual((yield* Effect.flip(swap(kernel, a, script)))._tag, tag)
        assert.deepStrictEqual<ReadonlyArray<string>>(yield* swapsOf(kernel), events)
        assert.strictEqual(yield* answering(kernel), 1)
        assert.deepStrictEqual(kernel.world.history, ["start acme/a@1"])
        assert.deepStrictEqual(running(yield* reboot(kernel)), ["acme/a@1"])
      }),
    )
  }

  it.effect("to a service whose start never ends is given up in its time", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const limits = { startupTimeoutMs: 1000 }
      const swapping = yield* Effect.forkChild(
        Effect.flip(swap(kernel, a, { start: "hang" }, 0, { limits })),
      )
      yield* pass(900)
      assert.strictEqual(yield* answering(kernel), 1)
      assert.strictEqual(yield* revisionOf(kernel), 1)
      yield* pass(100)
      assert.strictEqual((yield* Fiber.join(swapping))._tag, "StartTimedOut")
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  for (const [answers, reason] of [
    ["500", /\/up answered 500/],
    ["hang", /\/up did not answer within 5000 ms/],
  ] as const) {
    it.effect(`to a service that is not healthy (${answers}) leaves the old one alone`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        yield* deploy(kernel, a)
        const terms = { healthPath: "/up" }
        const swapping = yield* Effect.forkChild(
          Effect.flip(swap(kernel, a, { answers }, 0, terms)),
        )
        yield* pass(5000, 1000)
        const error = yield* Fiber.join(swapping)
        assert.strictEqual(error._tag, "SwapFailed")
        assert.match(error.message, reason)
        assert.deepStrictEqual(yield* swapsOf(kernel), ["hot_swap_started", "hot_swap_failed"])
        assert.deepStrictEqual(running(kernel), ["acme/a@1"])
        const healthy = yield* swap(kernel, a, { n: 2 }, 0, terms)
        assert.strictEqual(healthy.revision, 3, "a number is used once")
      }),
    )
  }

  it.effect("keeps the old revision warm for the window, and says which one answers", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const swapping = yield* Effect.forkChild(swap(kernel, a, { n: 2 }, 1000))
      yield* pass(999)
      assert.deepStrictEqual(running(kernel), ["acme/a@1", "acme/a@2"])
      assert.strictEqual(yield* answering(kernel), 2)
      assert.strictEqual(yield* revisionOf(kernel), 2)
      assert.deepStrictEqual(yield* swapsOf(kernel), ["hot_swap_started"])
      const crashed = yield* reboot(kernel)
      assert.deepStrictEqual(running(crashed), ["acme/a@1"], "not committed yet")
      yield* pass(1)
      yield* Fiber.join(swapping)
      assert.deepStrictEqual(running(kernel), ["acme/a@2"])
    }),
  )

  for (const [what, script] of [
    ["crashes", { crashAfterMs: 500 }],
    ["ends by itself", { endAfterMs: 500 }],
  ] as const) {
    it.effect(`is rolled back when the new revision ${what} within the window`, () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        yield* deploy(kernel, a)
        const swapping = yield* Effect.forkChild(Effect.flip(swap(kernel, a, script, 1000)))
        yield* pass(500)
        const error = yield* Fiber.join(swapping)
        assert.deepInclude(error, { _tag: "SwapRolledBack", from: 1, to: 2 })
        assert.strictEqual(yield* answering(kernel), 1)
        assert.deepStrictEqual(running(kernel), ["acme/a@1"])
        assert.deepStrictEqual(yield* swapsOf(kernel), ["hot_swap_started", "hot_swap_rolled_back"])
        yield* pass(1000)
        assert.deepStrictEqual(running(kernel), ["acme/a@1"], "nobody restarts the new one")
        assert.deepStrictEqual(running(yield* reboot(kernel)), ["acme/a@1"])
      }),
    )
  }

  it.effect("rolled back while the old revision restarts leaves that to its policy", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const swapping = yield* Effect.forkChild(Effect.flip(swap(kernel, a, { n: 2 }, 1000)))
      yield* settle
      kernel.world.crash(a, "both at once")
      yield* settle
      assert.strictEqual((yield* Fiber.join(swapping))._tag, "SwapRolledBack")
      assert.strictEqual(yield* statusOf(kernel, a), "restarting")
      yield* pass(1000, 100)
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("goes on when the old revision crashes meanwhile", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { restart: "temporary" })
      const swapping = yield* Effect.forkChild(swap(kernel, a, { n: 2, startMs: 100 }, 1000))
      yield* settle
      kernel.world.crash(a, "old", 1)
      yield* pass(1100, 100)
      assert.strictEqual((yield* Fiber.join(swapping)).revision, 2)
      assert.deepStrictEqual(running(kernel), ["acme/a@2"])
    }),
  )

  it.effect("lets requests in flight end on the old revision, within its time", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { answerMs: 300 })
      const early = yield* Effect.forkChild(answering(kernel))
      yield* settle
      const swapping = yield* Effect.forkChild(swap(kernel, a, { n: 2 }))
      yield* settle
      assert.strictEqual(yield* answering(kernel), 2)
      assert.deepStrictEqual(running(kernel), ["acme/a@1", "acme/a@2"])
      yield* pass(310, 10)
      assert.strictEqual(yield* Fiber.join(early), 1)
      yield* Fiber.join(swapping)
      assert.deepStrictEqual(running(kernel), ["acme/a@2"])
    }),
  )

  it.effect("hands a request on that came to the old revision too late", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const old = kernel.registry.get(a)!.instance!
      yield* swap(kernel, a, { n: 2 })
      const child = kernel.registry.get(a)!
      const { instance } = child
      // As a request sees it that looked the instance up just before the switch.
      child.instance = {
        ...old,
        request: (request) =>
          Effect.suspend(() => {
            child.instance = instance
            return old.request(request)
          }),
      }
      assert.strictEqual(yield* answering(kernel), 2)
    }),
  )
})

describe("a rollback", () => {
  it.effect("brings the revision before back under its number, and once more forth", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const { service } = yield* deploy(kernel, a, { n: 1 })
      yield* swap(kernel, a, { n: 2 })
      const back = yield* rollback(kernel, a)
      assert.deepInclude(back, { revision: 1, artifact: service.artifact })
      assert.strictEqual(yield* answering(kernel), 1)
      let next = yield* reboot(kernel)
      assert.deepStrictEqual(running(next), ["acme/a@1"])
      assert.strictEqual((yield* rollback(next, a)).revision, 2)
      assert.strictEqual((yield* rollback(next, a)).revision, 1)
      assert.strictEqual((yield* swap(next, a, { n: 3 })).revision, 3)
      yield* halt(next)
      next = yield* boot({ disk: next.disk })
      assert.deepStrictEqual(running(next), ["acme/a@3"], "from a checkpoint")
      assert.strictEqual((yield* rollback(next, a)).revision, 1)
    }),
  )

  it.effect("needs a revision before", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      assert.strictEqual((yield* Effect.flip(rollback(kernel, a)))._tag, "NoPreviousRevision")
      yield* swap(kernel, a, { n: 2 })
      yield* rollback(kernel, a)
      yield* kill(kernel, a)
      const { service } = yield* deploy(kernel, a, { n: 3 })
      assert.strictEqual(service.revision, 3, "the number of what was rolled back is used up")
      assert.strictEqual((yield* Effect.flip(rollback(kernel, a)))._tag, "NoPreviousRevision")
    }),
  )

  it.effect("that crashes within its window is rolled back itself", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* swap(kernel, a, { n: 2 })
      kernel.world.overrides.set("acme/a", { crashAfterMs: 10 })
      const rolling = yield* Effect.forkChild(Effect.flip(rollback(kernel, a, 100)))
      yield* pass(10)
      assert.deepInclude(yield* Fiber.join(rolling), { _tag: "SwapRolledBack", from: 2, to: 1 })
      assert.strictEqual(yield* answering(kernel), 2)
      assert.deepStrictEqual(running(yield* reboot(kernel)), ["acme/a@2"])
    }),
  )

  it.effect("during a swap ends it", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const swapping = yield* Effect.forkChild(Effect.flip(swap(kernel, a, { n: 2 }, 60_000)))
      yield* settle
      assert.strictEqual(yield* answering(kernel), 2)
      const back = yield* kernel.deployer.rollback(callerOf("acme"), specOf("a").serviceId)
      assert.strictEqual(back.revision, 1)
      const error = yield* Fiber.join(swapping)
      assert.strictEqual(error._tag, "SwapRolledBack")
      assert.match(error.message, /a rollback was asked for/)
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )
})
