/**
 * What a recovery says of itself: in its report, in the log, and while it lasts (promises 3, 4, 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as TestClock from "effect/testing/TestClock"

import { draft } from "../../src/domain/Event.ts"
import { factOf } from "../../src/domain/State.ts"
import {
  boot,
  build,
  deploy,
  halt,
  kill,
  named,
  pass,
  pullPlug,
  running,
  statusOf,
} from "./harness/Machine.ts"
import { edit, reboot, reportOf } from "./harness/Recovery.ts"
import { makeWorld } from "./harness/ScriptedRuntime.ts"
import { sha256 } from "./Sha256.ts"

const [quick, slow, lost] = [named("acme", "quick"), named("acme", "slow"), named("acme", "lost")]

/** What a pulled plug leaves of a kernel with three services, one of which cannot come back. */
const remains = Effect.gen(function* () {
  const kernel = yield* boot()
  yield* deploy(kernel, quick, { n: 1 })
  yield* deploy(kernel, slow, { n: 2 })
  yield* kill(kernel, slow)
  yield* deploy(kernel, slow, { n: 3 })
  yield* deploy(kernel, lost, { n: 4 })
  const disk = pullPlug(kernel)
  yield* edit(disk, `DELETE FROM artifacts WHERE source = '{"n":4}'`)
  return disk
})

describe("a recovery", () => {
  it.effect("reports what became of each service, how long it took, and why (promise 4)", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.overrides.set("acme/slow", { startMs: 500 })
      const disk = yield* remains
      yield* TestClock.setTime(1_000_000)
      const [kernel, start] = yield* build({ disk, world })
      const starting = yield* Effect.forkChild(start)
      yield* pass(250)
      assert.deepStrictEqual(SubscriptionRef.getUnsafe(kernel.readiness), {
        status: "recovering",
        recovered: 1,
        failed: 1,
        total: 3,
      })
      yield* pass(250)
      yield* Fiber.join(starting)
      const [, started] = yield* kernel.store.filter({ types: ["recovery_started"] })
      const reason = `artifact ${sha256('{"n":4}')} is missing; deploy the service again`
      const { services, ...report } = yield* reportOf(kernel)
      assert.deepStrictEqual(report, {
        recoveryId: started!.id,
        startedAt: "1970-01-01T00:16:40.000Z",
        recovered: 2,
        skipped: 0,
        failed: 1,
        durationMs: 500,
        timedOut: false,
        eventsReplayed: 5,
        eventsUnreadable: 0,
        count: 3,
      })
      assert.deepStrictEqual(
        [...services].sort((left, right) => (left.serviceId < right.serviceId ? -1 : 1)),
        [
          { ...lost, revision: 1, outcome: "failed", reason, durationMs: 0 },
          { ...quick, revision: 1, outcome: "recovered", reason: null, durationMs: 0 },
          { ...slow, revision: 2, outcome: "recovered", reason: null, durationMs: 500 },
        ],
      )
      assert.strictEqual((yield* kernel.store.filter()).length, yield* kernel.store.lastId)
      const told = (yield* kernel.store.filter({ sinceId: started!.id - 1 })).filter(({ type }) =>
        /recover/.test(type),
      )
      assert.deepStrictEqual(told.shift()?.payload, { services: 3 })
      assert.strictEqual(told.at(-1)?.causationId, started!.id)
      assert.deepStrictEqual(told.pop()?.payload, {
        recovered: 2,
        skipped: 0,
        failed: 1,
        durationMs: 500,
        timedOut: false,
      })
      assert.isTrue(told.every(({ causationId }) => causationId === started!.id))
      assert.sameDeepMembers(
        told.map(({ payload, serviceId, type }) => [String(serviceId), type, payload] as const),
        [
          ["lost", "service_recovery_failed", { revision: 1, reason }],
          ["quick", "service_recovered", { revision: 1 }],
          ["slow", "service_recovered", { revision: 2 }],
        ],
      )
      const view = yield* kernel.deployer.status(lost.tenantId, lost.serviceId)
      assert.deepInclude(view, { status: "failed", lastError: reason })
      yield* halt(kernel)
    }),
  )

  it.effect("ends a swap that a crash left open, and comes back as it was before", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, quick)
      const swap = { from: 1, to: 2, artifact: "a".repeat(64) }
      yield* kernel.store.emit(draft("hot_swap_started", swap, quick))
      const next = yield* reboot(kernel)
      const { recoveryId } = yield* reportOf(next)
      const [ended, ...more] = yield* next.store.filter({ types: ["hot_swap_rolled_back"] })
      assert.deepStrictEqual(
        { causationId: ended?.causationId, payload: ended?.payload, serviceId: ended?.serviceId },
        {
          causationId: recoveryId,
          payload: { from: 1, to: 2, reason: "the kernel ended meanwhile" },
          serviceId: quick.serviceId,
        },
      )
      assert.deepStrictEqual(more, [])
      const fact = factOf(yield* next.desired.get, quick)
      assert.deepInclude(fact, { revision: 1, highest: 2, swappingTo: null })
      // Once it is told, it is not told again.
      yield* next.replayer.replayDeployments
      assert.strictEqual((yield* next.store.filter({ types: ["hot_swap_rolled_back"] })).length, 1)
    }),
  )

  it.effect("a later replay shows no progress: the kernel is ready all the while", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, quick, {}, { limits: { maxRestarts: 0 } })
      kernel.world.overrides.set("acme/quick", { startMs: 500 })
      kernel.world.crash(quick)
      yield* pass(1)
      const replaying = yield* Effect.forkChild(kernel.replayer.replayDeployments)
      yield* pass(250)
      assert.strictEqual(SubscriptionRef.getUnsafe(kernel.readiness).status, "ready")
      yield* pass(250)
      assert.strictEqual((yield* Fiber.join(replaying)).recovered, 1)
    }),
  )

  it.effect("says of what it skips why it did", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, quick, { n: 1 })
      yield* deploy(kernel, slow, { endAfterMs: 10 }, { restart: "transient" })
      yield* pass(10)
      const reasonsOf = Effect.map(reportOf(kernel), ({ services }) =>
        Object.fromEntries(services.map(({ reason, serviceId }) => [serviceId, reason])),
      )
      yield* kernel.replayer.replayDeployments
      assert.deepStrictEqual(yield* reasonsOf, {
        quick: "it runs already",
        slow: "it ended on its own",
      })
    }),
  )

  it.effect("a service that is about to be restarted is left to its restart policy", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, quick)
      const next = yield* reboot(kernel, { quick: { start: "fail" } })
      next.world.overrides.clear()
      assert.strictEqual((yield* next.replayer.replayDeployments).skipped, 1)
      yield* pass(60_000, 10_000)
      assert.deepStrictEqual(running(next), ["acme/quick@1"])
    }),
  )

  it.effect("starts so many services at a time as it may", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const world = makeWorld()
      for (const id of ["a", "b", "c", "d"]) {
        yield* deploy(kernel, named("acme", id))
        world.overrides.set(`acme/${id}`, { startMs: 500 })
      }
      const [next, start] = yield* build({
        disk: pullPlug(kernel),
        world,
        settings: { recoveryConcurrency: 2 },
      })
      const starting = yield* Effect.forkChild(start)
      yield* pass(499)
      // All of them are shown from the outset, one after the other comes.
      assert.deepStrictEqual(
        next.registry.all().map(({ status }) => status),
        ["starting", "starting", "starting", "starting"],
      )
      yield* pass(1)
      assert.strictEqual(running(next).length, 2)
      yield* pass(500)
      yield* Fiber.join(starting)
      assert.deepInclude(yield* reportOf(next), { recovered: 4, durationMs: 1000 })
      yield* halt(next)
    }),
  )

  it.effect("says that time ran out, of what was begun and of what was not", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const limits = { startupTimeoutMs: 60_000 }
      yield* deploy(kernel, quick, {}, { limits })
      yield* deploy(kernel, slow, {}, { limits })
      const world = makeWorld()
      for (const id of ["quick", "slow"]) world.overrides.set(`acme/${id}`, { start: "hang" })
      const settings = { recoveryTimeoutMs: 5000, recoveryConcurrency: 1 }
      const [next, start] = yield* build({ disk: pullPlug(kernel), world, settings })
      const starting = yield* Effect.forkChild(start)
      yield* pass(5000)
      yield* Fiber.join(starting)
      const report = yield* reportOf(next)
      assert.isTrue(report.timedOut)
      for (const service of [quick, slow]) {
        const own = report.services.find(({ serviceId }) => serviceId === service.serviceId)
        assert.deepInclude(own, { outcome: "failed", reason: "recovery ran out of time" })
        const view = yield* next.deployer.status(service.tenantId, service.serviceId)
        assert.deepInclude(view, { status: "failed", lastError: "recovery ran out of time" })
      }
      assert.strictEqual(
        (yield* next.store.filter({ types: ["service_recovery_failed"] })).length,
        2,
      )
      yield* halt(next)
    }),
  )

  it.effect("says that it broke where it did, and shows the service as failed (promise 10)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, quick, { n: 1 })
      const world = makeWorld()
      world.broken.add('{"n":1}')
      const next = yield* boot({ disk: pullPlug(kernel), world })
      const [service] = (yield* reportOf(next)).services
      assert.match(service!.reason!, /recovery broke/)
      assert.strictEqual(yield* statusOf(next, quick), "failed")
    }),
  )

  it.effect("folds nothing after a clean end, and only what came since after another", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, quick)
      yield* halt(kernel)
      const next = yield* boot({ disk: kernel.disk })
      assert.strictEqual((yield* reportOf(next)).eventsReplayed, 0)
      yield* deploy(next, slow)
      assert.strictEqual((yield* reportOf(yield* reboot(next))).eventsReplayed, 1)
    }),
  )

  it.effect("a service that was killed or deployed anew before its turn is not touched", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const [a, b, c] = [named("acme", "a"), named("acme", "b"), named("acme", "c")]
      for (const name of [a, b, c]) yield* deploy(kernel, name, { n: 1 })
      const world = makeWorld()
      for (const id of ["a", "b", "c"]) world.overrides.set(`acme/${id}`, { startMs: 500 })
      const settings = { recoveryConcurrency: 1 }
      const [next, start] = yield* build({ disk: pullPlug(kernel), world, settings })
      const starting = yield* Effect.forkChild(start)
      yield* pass(250)
      world.overrides.clear()
      yield* kill(next, b)
      yield* kill(next, c)
      yield* deploy(next, c, { n: 2 })
      yield* pass(500)
      yield* Fiber.join(starting)
      const { services } = yield* reportOf(next)
      assert.deepStrictEqual(
        Object.fromEntries(services.map(({ reason, serviceId }) => [serviceId, reason])),
        {
          a: null,
          b: "it was killed meanwhile",
          c: "a newer deployment took its place",
        },
      )
      assert.deepStrictEqual(running(next), ["acme/a@1", "acme/c@2"])
      assert.strictEqual(yield* statusOf(next, b), "absent")
      yield* halt(next)
    }),
  )
})
