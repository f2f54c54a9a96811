/**
 * Recovery where it meets something else: deployments and kills meanwhile, the end of its time, a
 * damaged log, a log that takes nothing; tasks 5.1 to 5.3 of the checklist that need neither tokens
 * nor a process (promises 1 to 6, 9, 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { cuts } from "../kernel/harness/Cuts.ts"
import { makeFaults } from "../kernel/harness/FaultyStorage.ts"
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
  settle,
  statusOf,
} from "../kernel/harness/Machine.ts"
import { reportOf, outcomes, reboot, edit, countOf } from "../kernel/harness/Recovery.ts"
import { makeWorld } from "../kernel/harness/ScriptedRuntime.ts"

const a = named("acme", "a")
const b = named("acme", "b")
const c = named("acme", "c")

describe("recovery at its edges", () => {
  it.effect("ten restarts in a row add no second service_deployed (promise 3, 5.2)", () =>
    Effect.gen(function* () {
      let kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* deploy(kernel, b)
      const first = yield* kernel.store.lastId
      for (let n = 0; n < 10; n++) kernel = yield* reboot(kernel)
      assert.deepStrictEqual(running(kernel), ["acme/a@1", "acme/b@1"])
      assert.strictEqual(yield* countOf(kernel, "service_deployed"), 2)
      // system_started, recovery_started, one per service, recovery_completed
      assert.strictEqual((yield* kernel.store.lastId) - first, 10 * 6)
    }),
  )

  it.effect("5.3 a deployment during recovery wins over the replayed spec", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { n: 1 })
      yield* deploy(kernel, b, { n: 1 })
      for (const wait of [0, 3, 6, 10, 15, 20, 30, 45, 60]) {
        const world = makeWorld()
        const [next, start] = yield* build({
          disk: pullPlug(kernel),
          world,
          settings: { recoveryConcurrency: 1 },
        })
        const starting = yield* Effect.forkChild(start)
        yield* Effect.repeat(Effect.yieldNow, { times: wait })
        const exit = yield* Effect.exit(deploy(next, b, { n: 2 }))
        yield* deploy(next, c)
        yield* Fiber.join(starting)
        const won = Exit.isSuccess(exit)
        assert.deepStrictEqual(
          running(next),
          ["acme/a@1", `acme/b@${won ? 2 : 1}`, "acme/c@1"],
          `after ${wait} turns`,
        )
        assert.strictEqual(yield* statusOf(next, b), "running")
        const last = yield* reboot(next)
        assert.deepStrictEqual(running(last), running(next), "promise 1")
        yield* halt(next)
      }
    }),
  )

  it.effect(
    "a kill during recovery wins, and leaves nothing in the registry (promises 2, 10)",
    () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        yield* deploy(kernel, a)
        yield* deploy(kernel, b)
        for (const wait of cuts(60, 2)) {
          const [next, start] = yield* build({
            disk: pullPlug(kernel),
            settings: { recoveryConcurrency: 1 },
          })
          const starting = yield* Effect.forkChild(start)
          yield* Effect.repeat(Effect.yieldNow, { times: wait })
          yield* kill(next, b)
          yield* Fiber.join(starting)
          assert.deepStrictEqual(running(next), ["acme/a@1"], `after ${wait} turns`)
          assert.strictEqual(yield* statusOf(next, b), "absent", `after ${wait} turns`)
          yield* halt(next)
        }
      }),
  )

  it.effect("a kill while a later replay begins leaves nothing in the registry", () =>
    Effect.gen(function* () {
      for (const wait of cuts(30)) {
        const kernel = yield* boot()
        yield* deploy(kernel, a)
        yield* deploy(kernel, b)
        const replaying = yield* Effect.forkChild(kernel.replayer.replayDeployments)
        yield* Effect.repeat(Effect.yieldNow, { times: wait })
        yield* kill(kernel, b)
        yield* Fiber.join(replaying)
        assert.strictEqual(yield* statusOf(kernel, b), "absent", `after ${wait} turns`)
        yield* halt(kernel)
      }
    }),
  )

  it.effect("out of time, recovery reports what it has: back, left over, overtaken", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const slow = { limits: { startupTimeoutMs: 60_000 } }
      yield* deploy(kernel, a)
      yield* deploy(kernel, b, {}, slow)
      yield* deploy(kernel, c, {}, slow)
      yield* deploy(kernel, named("acme", "d"), {}, slow)
      const world = makeWorld()
      world.overrides.set("acme/b", { start: "hang" })
      const settings = { recoveryTimeoutMs: 5000, recoveryConcurrency: 2 }
      const [next, start] = yield* build({ disk: pullPlug(kernel), world, settings })
      world.overrides.set("acme/c", { start: "hang" })
      const starting = yield* Effect.forkChild(start)
      yield* settle
      assert.deepStrictEqual(SubscriptionRef.getUnsafe(next.readiness), {
        status: "recovering",
        recovered: 1,
        failed: 0,
        total: 4,
      })
      assert.strictEqual(yield* statusOf(next, named("acme", "d")), "starting")
      yield* kill(next, named("acme", "d"))
      yield* pass(5000)
      yield* Fiber.join(starting)
      const report = yield* reportOf(next)
      assert.isTrue(report.timedOut)
      assert.deepStrictEqual(outcomes(report), {
        a: "recovered",
        b: "failed",
        c: "failed",
        d: "skipped",
      })
      assert.deepInclude(report, { recovered: 1, failed: 2, skipped: 1, count: 4 })
      assert.strictEqual(yield* statusOf(next, b), "failed")
      assert.strictEqual(yield* statusOf(next, named("acme", "d")), "absent")
      world.overrides.clear()
      const again = yield* next.replayer.replayDeployments
      assert.deepStrictEqual(outcomes(again), { a: "skipped", b: "recovered", c: "recovered" })
      yield* halt(next)
    }),
  )

  it.effect(
    "recovers although the log takes nothing, and reports it without an id (promise 4)",
    () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        yield* deploy(kernel, a)
        const faults = makeFaults()
        faults.failWhile((sql) => sql.includes("INSERT INTO events"))
        const next = yield* boot({ disk: pullPlug(kernel), open: faults.open })
        assert.deepStrictEqual(running(next), ["acme/a@1"])
        const report = yield* reportOf(next)
        assert.deepInclude(report, { recovered: 1, recoveryId: null })
        faults.stop()
        yield* deploy(next, b)
      }),
  )

  it.effect("5.3 a corrupted event is skipped with a warning and counted (promise 4)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* deploy(kernel, b)
      const disk = pullPlug(kernel)
      yield* edit(disk, `UPDATE events SET payload = '{' WHERE service_id = 'a'`)
      const next = yield* boot({ disk })
      assert.deepStrictEqual(running(next), ["acme/b@1"])
      assert.strictEqual((yield* reportOf(next)).eventsUnreadable, 1)
    }),
  )

  it.effect("5.3 a gap in the log hides nothing after it (promise 5)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* deploy(kernel, b)
      yield* deploy(kernel, c)
      const disk = pullPlug(kernel)
      yield* edit(disk, `DELETE FROM events WHERE service_id = 'b'`)
      const next = yield* boot({ disk })
      assert.deepStrictEqual(running(next), ["acme/a@1", "acme/c@1"])
    }),
  )

  it.effect("events taken from the end of the log: their ids are not given again (promise 5)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* deploy(kernel, b)
      const last = yield* kernel.store.lastId
      const disk = pullPlug(kernel)
      yield* edit(disk, `DELETE FROM events WHERE id > ${last - 1}`)
      const next = yield* boot({ disk })
      assert.deepStrictEqual(running(next), ["acme/a@1"])
      const started = (yield* next.store.filter({ types: ["system_started"] })).at(-1)!
      assert.strictEqual(started.id, last + 1)
      assert.strictEqual(next.lifecycle.previousEnd, "unclean")
    }),
  )

  it.effect("5.1 five tenants of five services: crash, recover, isolated (promises 1, 6)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const names = ["v", "w", "x", "y", "z"].flatMap((tenant) =>
        ["1", "2", "3", "4", "5"].map((service) => named(tenant, service)),
      )
      for (const [n, name] of names.entries()) yield* deploy(kernel, name, { n })
      const next = yield* reboot(kernel)
      assert.deepStrictEqual(running(next), running(kernel))
      const own = yield* next.deployer.list(names[0]!.tenantId, { limit: 100 })
      assert.strictEqual(own.length, 5)
    }),
  )

  it.effect("5.1 a graceful shutdown loses nothing (promise 9)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* deploy(kernel, b)
      yield* kill(kernel, a)
      yield* halt(kernel)
      const next = yield* boot({ disk: kernel.disk })
      assert.deepStrictEqual(running(next), ["acme/b@1"])
    }),
  )

  it.effect("one replay at a time; none during one is lost", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const reports = yield* Effect.all(
        Array.from({ length: 5 }, () => kernel.replayer.replayDeployments),
        { concurrency: "unbounded" },
      )
      assert.strictEqual(new Set(reports.map((report) => report.recoveryId)).size, 5)
      assert.isTrue(Option.isSome(yield* kernel.replayer.recoveryReport))
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("a start-up that cannot read its log fails, and says so", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const faults = makeFaults()
      const [next, start] = yield* build({ disk: pullPlug(kernel), open: faults.open })
      faults.failWhile((sql) => sql.includes("SELECT"))
      const error = yield* Effect.flip(start)
      assert.strictEqual(error._tag, "StorageError")
      faults.stop()
      yield* halt(next)
      const last = yield* boot({ disk: next.disk })
      assert.strictEqual(last.lifecycle.previousEnd, "unclean", "promise 9")
    }),
  )

  it.effect(
    "a shutdown during recovery leaves nothing behind, and the next recovery is whole",
    () =>
      Effect.gen(function* () {
        const kernel = yield* boot()
        for (const id of ["a", "b", "c"]) yield* deploy(kernel, named("acme", id))
        for (const wait of cuts(80, 4)) {
          const world = makeWorld()
          world.overrides.set("acme/b", { start: "hang" })
          const disk = pullPlug(kernel)
          const main = yield* Effect.forkChild(
            Effect.scoped(
              Effect.gen(function* () {
                const [next, start] = yield* build({ disk, world })
                yield* Effect.addFinalizer(() => halt(next))
                yield* start
              }),
            ),
          )
          yield* Effect.repeat(Effect.yieldNow, { times: wait })
          yield* Fiber.interrupt(main)
          assert.strictEqual(world.living.size, 0, `no service outlives it, after ${wait} turns`)
          const last = yield* boot({ disk })
          assert.deepStrictEqual(running(last), ["acme/a@1", "acme/b@1", "acme/c@1"])
          yield* halt(last)
        }
      }),
  )
})
