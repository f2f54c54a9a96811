/**
 * Recovery against real storage and scripted services: promises 2, 3 and 4; tasks 1.1 to 1.6 of the
 * checklist.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { draft } from "../../src/domain/Event.ts"
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
  typesOf,
} from "./harness/Machine.ts"
import { reportOf, outcomes, reboot, edit, countOf } from "./harness/Recovery.ts"
import { makeWorld } from "./harness/ScriptedRuntime.ts"

const a = named("acme", "a")
const b = named("acme", "b")

describe("Replayer", () => {
  it.effect("1.6.1 a service is recovered, as it was (promise 1)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const { service } = yield* deploy(kernel, a, { n: 1 }, { env: { KEY: "value" } })
      const next = yield* reboot(kernel)
      const view = yield* next.deployer.status(a.tenantId, a.serviceId)
      assert.deepStrictEqual(view, { ...service, startedAt: view.startedAt })
      assert.deepStrictEqual(running(next), ["acme/a@1"])
      assert.deepStrictEqual((yield* next.store.filter({})).at(-3)!.type, "service_recovered")
    }),
  )

  it.effect("1.6.2 five services are recovered", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      for (const id of ["a", "b", "c", "d", "e"]) yield* deploy(kernel, named("acme", id))
      const next = yield* reboot(kernel)
      const report = yield* reportOf(next)
      assert.deepInclude(report, { count: 5, recovered: 5, failed: 0, skipped: 0 })
      assert.strictEqual(running(next).length, 5)
    }),
  )

  it.effect("1.6.3 a killed service is not recovered (promise 2)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* deploy(kernel, b)
      yield* kill(kernel, a)
      const next = yield* reboot(kernel)
      assert.deepStrictEqual(running(next), ["acme/b@1"])
      assert.strictEqual(yield* statusOf(next, a), "absent")
    }),
  )

  it.effect("1.6.3 killed and deployed again comes back, with the latest spec (promise 2)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { n: 1 })
      yield* kill(kernel, a)
      yield* deploy(kernel, a, { n: 2 })
      const next = yield* reboot(kernel)
      assert.deepStrictEqual(running(next), ["acme/a@2"])
      assert.include([...next.world.living][0]!.code, '"n":2')
    }),
  )

  it.effect("1.6.3 a crash between the kill's append and the stop leaves it dead (promise 2)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { stop: "hang" })
      const killing = yield* Effect.forkChild(kill(kernel, a))
      yield* settle
      assert.deepStrictEqual(running(kernel), ["acme/a@1"], "it has not stopped yet")
      const next = yield* reboot(kernel)
      assert.deepStrictEqual(running(next), [])
      yield* pass(5000)
      yield* Fiber.join(killing)
    }),
  )

  it.effect("1.6.4 what cannot come back costs itself only, and says why (promise 4)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      for (const [n, id] of [
        "ok",
        "fails",
        "dies",
        "hangs",
        "stuck",
        "syntax",
        "defect",
      ].entries()) {
        yield* deploy(kernel, named("acme", id), { n }, { limits: { startupTimeoutMs: 1000 } })
      }
      yield* deploy(kernel, named("acme", "missing"), { n: 77 })
      yield* deploy(kernel, named("acme", "changed"), { n: 88 })
      const disk = pullPlug(kernel)
      yield* edit(
        disk,
        `DELETE FROM artifacts WHERE source = '{"n":77}'`,
        `UPDATE artifacts SET source = '{"n":99}' WHERE source = '{"n":88}'`,
      )
      const world = makeWorld()
      world.overrides.set("acme/fails", { start: "fail" })
      world.overrides.set("acme/dies", { start: "die" })
      world.overrides.set("acme/hangs", { start: "hang" })
      world.overrides.set("acme/stuck", { start: "stuck" })
      world.uncompilable.add('{"n":5}')
      world.broken.add('{"n":6}')
      const [next, start] = yield* build({ disk, world })
      const starting = yield* Effect.forkChild(start)
      yield* pass(4000, 500)
      yield* Fiber.join(starting)
      const report = yield* reportOf(next)
      assert.deepStrictEqual(outcomes(report), {
        ok: "recovered",
        fails: "failed",
        dies: "failed",
        hangs: "failed",
        stuck: "failed",
        syntax: "failed",
        defect: "failed",
        missing: "failed",
        changed: "failed",
      })
      assert.isFalse(report.timedOut)
      const reasonOf = (id: string) =>
        report.services.find((service) => service.serviceId === id)!.reason
      assert.match(reasonOf("missing")!, /missing/)
      assert.match(reasonOf("changed")!, /does not match its hash/)
      assert.match(reasonOf("hangs")!, /did not start within 1000 ms/)
      for (const id of ["syntax", "defect", "missing", "changed"]) {
        assert.strictEqual(yield* statusOf(next, named("acme", id)), "failed", id)
      }
      const failures = yield* next.store.filter({ types: ["service_recovery_failed"] })
      assert.strictEqual(failures.length, 8)
      assert.isTrue(failures.every((event) => event.causationId === report.recoveryId))
      assert.strictEqual(SubscriptionRef.getUnsafe(next.readiness).status, "ready")
      const halting = yield* Effect.forkChild(halt(next))
      yield* pass(20_000, 1000)
      yield* Fiber.join(halting)
    }),
  )

  it.effect("1.6.4 a service that does not start at once comes back by its restart policy", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const next = yield* reboot(kernel, { a: { start: "fail" } })
      assert.deepStrictEqual(outcomes(yield* reportOf(next)), { a: "failed" })
      next.world.overrides.delete("acme/a")
      yield* pass(100)
      assert.strictEqual(yield* statusOf(next, a), "running")
    }),
  )

  it.effect("1.6.4 the recovery of a temporary service is not tried twice", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { restart: "temporary" })
      const next = yield* reboot(kernel, { a: { start: "fail" } })
      next.world.overrides.delete("acme/a")
      yield* pass(60_000)
      assert.strictEqual(yield* statusOf(next, a), "failed")
      assert.deepStrictEqual(running(next), [])
    }),
  )

  it.effect("1.6.5 services of three tenants come back, each to its own (promise 6)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      for (const tenant of ["t1", "t2", "t3"]) yield* deploy(kernel, named(tenant, "a"))
      yield* kill(kernel, named("t2", "a"))
      const next = yield* reboot(kernel)
      assert.deepStrictEqual(running(next), ["t1/a@1", "t3/a@1"])
      assert.deepStrictEqual(yield* next.deployer.list(named("t2", "a").tenantId, { limit: 9 }), [])
    }),
  )

  it.effect("1.6.6 5.2 a thousand events are folded, to the latest fact of each service", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const [deployed] = yield* kernel.store.filter({ types: ["service_deployed"] })
      const payload = deployed!.payload as never
      for (let n = 0; n < 500; n++) {
        const name = named("acme", `s${n % 50}`)
        yield* kernel.store.append([
          draft("service_deployed", payload, name),
          draft("service_killed", { revision: 1, force: false }, name),
        ])
      }
      const next = yield* reboot(kernel)
      const report = yield* reportOf(next)
      assert.strictEqual(report.eventsReplayed, 1001)
      assert.deepStrictEqual(running(next), ["acme/a@1"])
    }),
  )

  it.effect("1.6.7 nothing to replay is a recovery of nothing", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      assert.deepInclude(yield* reportOf(kernel), { count: 0, recovered: 0, failed: 0 })
      assert.deepStrictEqual(yield* typesOf(kernel), [
        "system_started",
        "recovery_started",
        "recovery_completed",
        "verification_completed",
      ])
    }),
  )

  it.effect("shows what should run as starting until recovery has come to it (promise 10)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const [next] = yield* build({ disk: pullPlug(kernel) })
      yield* next.desired.load
      assert.deepStrictEqual(next.registry.all(), [])
      const listed = yield* next.deployer.list(a.tenantId, { limit: 10 })
      assert.deepStrictEqual(
        listed.map(({ serviceId, status, revision }) => [serviceId, status, revision]),
        [[a.serviceId, "starting", 1]],
      )
      assert.strictEqual(yield* statusOf(next, a), "starting")
      yield* halt(next)
    }),
  )

  it.effect("1.6.8 replaying again changes nothing (promise 3)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* deploy(kernel, b, { endAfterMs: 10 }, { restart: "transient" })
      const next = yield* reboot(kernel)
      yield* pass(10)
      assert.strictEqual(yield* statusOf(next, b), "stopped")
      const { history } = next.world
      const before = [...history]
      for (let round = 0; round < 3; round++) {
        const report = yield* next.replayer.replayDeployments
        assert.deepStrictEqual(outcomes(report), { a: "skipped", b: "skipped" })
      }
      assert.deepStrictEqual(history, before, "nothing was started or stopped")
      assert.strictEqual(yield* countOf(next, "service_deployed"), 2)
      assert.strictEqual(yield* countOf(next, "service_recovered"), 2)
    }),
  )

  it.effect("1.6.8 a replay brings back what gave up", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { limits: { maxRestarts: 0 } })
      kernel.world.crash(a)
      yield* settle
      assert.deepStrictEqual(outcomes(yield* kernel.replayer.replayDeployments), { a: "recovered" })
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
    }),
  )

  it.effect("goes on although whoever asked for it has hung up (promises 4, 10)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      // Hung up upon while it is compiled, and while it starts.
      const scripts = [{ compileMs: 500 }, { startMs: 500 }]
      for (const [n, script] of scripts.entries()) {
        const name = named("acme", `s${n}`)
        const deploying = yield* Effect.forkChild(
          deploy(kernel, name, script, { restart: "temporary" }),
        )
        yield* pass(500)
        yield* Fiber.join(deploying)
        kernel.world.crash(name)
        yield* settle
        assert.strictEqual(yield* statusOf(kernel, name), "failed")
        const replaying = yield* Effect.forkChild(kernel.replayer.replayDeployments)
        yield* pass(499)
        yield* Fiber.interrupt(replaying)
        yield* pass(1)
        assert.strictEqual(yield* statusOf(kernel, name), "running", JSON.stringify(script))
        assert.include(outcomes(yield* reportOf(kernel)), { [`s${n}`]: "recovered" })
      }
      assert.deepInclude(yield* kernel.replayer.replayDeployments, { recovered: 0, skipped: 2 })
    }),
  )

  it.effect("ends with its kernel, which leaves nothing of it running (promise 9)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const deploying = yield* Effect.forkChild(
        deploy(kernel, a, { startMs: 500 }, { restart: "temporary" }),
      )
      yield* pass(500)
      yield* Fiber.join(deploying)
      kernel.world.crash(a)
      yield* settle
      const replaying = yield* Effect.forkChild(kernel.replayer.replayDeployments)
      yield* pass(100)
      yield* halt(kernel)
      yield* Fiber.await(replaying)
      yield* pass(500)
      assert.deepStrictEqual(running(kernel), [])
      assert.deepStrictEqual(kernel.lifecycle.problems(), [])
      assert.strictEqual((yield* reboot(kernel, { a: {} })).lifecycle.previousEnd, "clean")
    }),
  )
})
