/**
 * What a repair says and leaves behind, and what it does when it cannot be done (promises 2, 3, 6
 * and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

import { draft } from "../../../src/domain/Event.ts"
import type { ServiceName } from "../../../src/domain/Identifier.ts"
import { factOf } from "../../../src/domain/State.ts"
import { type Fix, inconsistency } from "../../../src/domain/VerificationReport.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Verifier, VerifierChecks } from "../../../src/kernel/recovery/Verifier.ts"
import { Registry } from "../../../src/kernel/services/Registry.ts"
import { ServiceLock } from "../../../src/kernel/services/ServiceLock.ts"
import { makeFaults } from "../harness/FaultyStorage.ts"
import * as Machine from "../harness/Machine.ts"
import { sha256 } from "../Sha256.ts"
import { acme, logDeployment, logged, namesOf, smuggle, verify } from "./Mischief.ts"
import { newDatabase, run } from "./Run.ts"

const fixOf = (fix: Fix) => `${fix.action} ${fix.tenantId}/${fix.serviceId}`

/** Logs the deployment of a service that is not there. */
const logMissing = Effect.fnUntraced(function* (
  name: ServiceName,
  source = `export default "${name.tenantId}/${name.serviceId}"`,
) {
  const sql = yield* SqlClient
  const payload = { revision: 1, spec: logged(name.serviceId, source) }
  const event = yield* (yield* EventStore).emit(draft("service_deployed", payload, name))
  yield* sql`INSERT INTO artifacts ${sql.insert({ hash: sha256(source), source })}`
  yield* (yield* DesiredState).record(event)
})

describe("a repair", () => {
  it.live("is an event that says what was done, right behind the facts it consists of", () =>
    Effect.gen(function* () {
      const store = yield* EventStore
      yield* logDeployment("missing")
      yield* smuggle("orphan")
      const { fixes } = yield* (yield* Verifier).autoFix({ missingServices: "kill" })
      assert.deepStrictEqual(fixes.map(fixOf), ["logged acme/orphan", "marked_killed acme/missing"])
      for (const { eventId, invariant, action, detail, tenantId, serviceId } of fixes) {
        const [fact, fixed] = yield* store.filter({ sinceId: eventId - 2, limit: 2 })
        assert.deepInclude(fixed, { id: eventId, type: "auto_fix_applied", tenantId, serviceId })
        assert.deepStrictEqual(fixed?.payload, { invariant, action, detail })
        assert.deepInclude(fact, { id: eventId - 1, tenantId, serviceId })
        if (fact?.type === "service_killed") {
          assert.strictEqual(action, "marked_killed")
          assert.deepStrictEqual(fact.payload, { revision: 1, force: false })
        } else {
          assert.strictEqual(fact?.type, "service_deployed")
          assert.strictEqual((yield* Registry).get(acme("orphan"))?.deployedAt, fact?.time)
        }
      }
    }).pipe(run(newDatabase())),
  )

  it.live("is one for each service, whatever others have its name or its tenant (promise 6)", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const names = ["acme/a", "acme/b", "globex/a", "globex/b"]
      for (const name of names) {
        const [tenantId, serviceId] = name.split("/")
        yield* logMissing(Machine.named(tenantId!, serviceId!))
      }
      yield* logMissing(Machine.named("initech", "a"), "syntax error")
      yield* sql`DELETE FROM artifacts WHERE source = 'export default "acme/a"'`
      yield* sql`UPDATE artifacts SET source = '' WHERE source = 'export default "globex/b"'`
      const { fixes, failures, verification } = yield* (yield* Verifier).autoFix()
      assert.sameMembers(fixes.map(fixOf), [
        "marked_killed acme/a",
        "marked_killed globex/b",
        "redeployed acme/b",
        "redeployed globex/a",
      ])
      assert.deepStrictEqual(
        failures.map(({ inconsistency: { tenantId }, reason }) => [tenantId, reason]),
        [["initech", "syntax error"]],
      )
      assert.strictEqual(verification.status, "ok")
    }).pipe(run(newDatabase())),
  )

  it.live("is asked of the check that found it; one without repairs is left alone", () =>
    Effect.gen(function* () {
      const checks = yield* VerifierChecks
      const asked: Array<string> = []
      const add = (
        invariant: string,
        fixed: Effect.Effect<string | undefined, { readonly message: string }> | undefined,
      ) => {
        const [name = ""] = invariant.split("_")
        const found = { ...inconsistency("head_is_last", "bad", { name: acme("a") }), invariant }
        checks.add({
          name,
          verify: () =>
            Effect.succeed({
              figures: {},
              inconsistencies: [{ ...found, fixable: true }],
              recommendations: [],
            }),
          ...(fixed === undefined
            ? {}
            : { fix: (found) => (asked.push(`${name}: ${found.invariant}`), fixed) }),
        })
      }
      add("apples_hold", Effect.succeed("polished"))
      add("pears", Effect.fail({ message: "too ripe" }))
      add("plums_hold", Effect.undefined)
      add("quinces_hold", undefined)
      const { fixes, failures } = yield* (yield* Verifier).autoFix()
      assert.deepStrictEqual(
        fixes.map(({ invariant, action, detail }) => `${invariant}: ${action}, ${detail}`),
        ["apples_hold: repaired, polished"],
      )
      assert.deepStrictEqual(
        failures.map(({ inconsistency: { invariant }, reason }) => `${invariant}: ${reason}`),
        ["pears: too ripe"],
      )
      assert.deepStrictEqual(asked, ["apples: apples_hold", "pears: pears", "plums: plums_hold"])
    }).pipe(run(newDatabase())),
  )

  it.effect("waits for no service that is busy for long, and changes nothing of it", () =>
    Effect.gen(function* () {
      yield* logDeployment("a", false)
      const gate = yield* Deferred.make<void>()
      const held = (yield* ServiceLock).hold(acme("a"))(Deferred.await(gate))
      yield* Effect.forkChild(held, { startImmediately: true })
      const repair = yield* Effect.forkChild((yield* Verifier).autoFix())
      while (repair.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(gate, undefined)
      const { fixes, failures } = yield* Fiber.join(repair)
      assert.deepStrictEqual(fixes, [])
      assert.deepStrictEqual(
        failures.map(({ inconsistency: { invariant }, reason }) => [invariant, reason]),
        [["artifact_intact", "the service is busy"]],
      )
      assert.strictEqual(factOf(yield* (yield* DesiredState).get, acme("a"))?._tag, "Deployed")
      assert.sameMembers(namesOf(yield* verify()), ["event_has_service", "artifact_intact"])
    }).pipe(run(newDatabase())),
  )
})

describe("a repair of a kernel under way", () => {
  const a = Machine.named("acme", "a")

  it.effect("that cannot be logged is not made, and can be made later (promise 3)", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* Machine.boot({ open: faults.open })
      yield* Machine.deploy(kernel, a)
      kernel.registry.remove(kernel.registry.get(a)!)
      faults.failWhile((sql) => sql.includes("INSERT INTO events"))
      const refused = yield* kernel.verifier.autoFix({ missingServices: "kill" })
      assert.deepStrictEqual(refused.fixes, [])
      assert.lengthOf(refused.failures, 1)
      assert.strictEqual(factOf(yield* kernel.desired.get, a)?._tag, "Deployed")
      faults.stop()
      const { fixes, failures } = yield* kernel.verifier.autoFix({ missingServices: "kill" })
      assert.deepStrictEqual(fixes.map(fixOf), ["marked_killed acme/a"])
      assert.deepStrictEqual(failures, [])
      assert.strictEqual(factOf(yield* kernel.desired.get, a)?._tag, "Killed")
      yield* Machine.halt(kernel)
    }),
  )

  it.effect("asks a killed service to stop, and ends who follows its log (promise 2)", () =>
    Effect.gen(function* () {
      const kernel = yield* Machine.boot()
      yield* Machine.deploy(kernel, a)
      const follower = yield* Effect.forkChild(Stream.runDrain(kernel.logs.follow(a)))
      yield* Machine.settle
      const killed = yield* kernel.store.emit(
        draft("service_killed", { revision: 1, force: false }, a),
      )
      const later = { revision: 1, reason: "of another service" }
      yield* kernel.store.emit(draft("service_crashed", later, Machine.named("acme", "b")))
      const { fixes } = yield* kernel.verifier.autoFix()
      assert.deepStrictEqual(fixes.map(fixOf), ["reread acme/a", "stopped acme/a"])
      assert.include(fixes[0]!.detail, `event ${killed.id} `, "the last fact about it")
      assert.deepStrictEqual(Machine.running(kernel), [])
      assert.include(kernel.world.history, "stop acme/a@1")
      yield* Machine.settle
      assert.isDefined(follower.pollUnsafe())
      yield* Machine.halt(kernel)
    }),
  )
})
