/**
 * What verification finds, reports and logs, and what it leaves alone (promises 5, 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"

import { inconsistency, VerificationReport } from "../../../src/domain/VerificationReport.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { Verifier, VerifierChecks } from "../../../src/kernel/recovery/Verifier.ts"
import { Deployer } from "../../../src/kernel/services/Deployer.ts"
import { ServiceLock } from "../../../src/kernel/services/ServiceLock.ts"
import {
  acme,
  deploy,
  kill,
  verify,
  smuggle,
  logDeployment,
  logDeployments,
  lose,
  isRunning,
  namesOf,
  eventTypes,
  edit,
} from "./Mischief.ts"
import { caller, newDatabase, run, service, spec } from "./Run.ts"

const realTurn = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))

describe("verifyConsistency", () => {
  it.live("4.6.1 five healthy services: every check passes", () =>
    Effect.gen(function* () {
      yield* deploy("a", "b", "c", "d", "e")
      for (const full of [false, true]) {
        const report = yield* verify(full)
        assert.deepStrictEqual(report.inconsistencies, [])
        assert.strictEqual(report.status, "ok")
        assert.strictEqual(report.consistencyChecks.servicesRunning, 5)
        assert.strictEqual(report.consistencyChecks.artifactsChecked, 5)
      }
    }).pipe(run(newDatabase())),
  )

  it.live("4.6.2 a service without event is found (promise 10)", () =>
    Effect.gen(function* () {
      yield* deploy("a")
      yield* smuggle("orphan")
      const report = yield* verify()
      assert.deepStrictEqual(namesOf(report), ["service_has_event"])
      const [found] = report.inconsistencies
      assert.strictEqual(found!.serviceId, "orphan")
      assert.strictEqual(found!.tenantId, "acme")
      assert.isTrue(found!.fixable)
      assert.strictEqual(report.status, "error")
      assert.strictEqual(report.recommendations.length, 1)
      const { servicesRunning, servicesBusy } = report.consistencyChecks
      assert.deepStrictEqual(
        { servicesRunning, servicesBusy },
        { servicesRunning: 2, servicesBusy: 0 },
      )
    }).pipe(run(newDatabase())),
  )

  it.live("4.6.3 an event without service is found (promise 1)", () =>
    Effect.gen(function* () {
      yield* logDeployment("lost")
      const report = yield* verify()
      assert.deepStrictEqual(namesOf(report), ["event_has_service"])
      assert.isAbove(report.inconsistencies[0]!.eventId!, 0)
    }).pipe(run(newDatabase())),
  )

  it.live("4.6.4 a killed service is counted, and found if it still runs (promise 2)", () =>
    Effect.gen(function* () {
      yield* deploy("a", "b")
      yield* kill("b")
      const clean = yield* verify()
      assert.strictEqual(clean.status, "ok")
      assert.strictEqual(clean.consistencyChecks.servicesKilled, 1)
      yield* smuggle("b")
      assert.deepStrictEqual(namesOf(yield* verify()), ["killed_stays_killed"])
    }).pipe(run(newDatabase())),
  )

  it.live("4.6.4 deploy, kill, deploy again is consistent: only the last fact counts", () =>
    Effect.gen(function* () {
      yield* deploy("a")
      yield* kill("a")
      yield* deploy("a")
      assert.deepStrictEqual((yield* verify(true)).inconsistencies, [])
      const { fixes } = yield* (yield* Verifier).autoFix({ full: true })
      assert.deepStrictEqual(fixes, [])
      assert.isTrue(yield* isRunning("a"))
    }).pipe(run(newDatabase())),
  )

  it.live("4.6.6 counts match what was deployed, killed and has failed", () => {
    const filename = newDatabase()
    return Effect.gen(function* () {
      yield* run(filename)(
        Effect.andThen(
          deploy("a", "b", "c", "d"),
          Effect.andThen(
            kill("d"),
            Effect.flatMap(Deployer, (deployer) =>
              deployer.deploy(caller("acme"), spec("bad", "// syntax later")),
            ),
          ),
        ),
      )
      edit(filename, "UPDATE artifacts SET source = 'x' WHERE source = '// syntax later'")
      const { consistencyChecks, inconsistencies } = yield* run(filename)(verify())
      assert.deepInclude(consistencyChecks, {
        servicesDeployed: 4,
        servicesPresent: 4,
        servicesRunning: 3,
        servicesFailed: 1,
        servicesRecovered: 3,
        servicesKilled: 1,
        servicesBusy: 0,
      })
      assert.deepStrictEqual(
        inconsistencies.map(({ invariant, serviceId }) => [invariant, serviceId]),
        [["artifact_intact", "bad"]],
      )
    })
  })

  it.live("4.6.7 the report has its shape, is kept, and is logged", () =>
    Effect.gen(function* () {
      const verifier = yield* Verifier
      yield* smuggle("orphan")
      const report = yield* verify(true)
      const text = Schema.fromJsonString(Schema.toCodecJson(VerificationReport))
      assert.deepStrictEqual(
        yield* Schema.decodeEffect(text)(yield* Schema.encodeEffect(text)(report)),
        report,
      )
      assert.deepStrictEqual(yield* verifier.verificationReport, Option.some(report))
      const store = yield* EventStore
      const [completed, detected, ...more] = yield* store.filter({
        sinceId: report.verificationId! - 1,
      })
      assert.strictEqual(completed?.type, "verification_completed")
      assert.strictEqual(detected?.type, "inconsistency_detected")
      assert.strictEqual(detected?.causationId, completed?.id)
      assert.strictEqual(detected?.tenantId, "acme")
      assert.deepStrictEqual(more, [])
      // What lasts is not logged again and again.
      yield* verify()
      const types = yield* eventTypes
      assert.strictEqual(types.filter((type) => type === "inconsistency_detected").length, 1)
      // What went away and comes again is new again.
      yield* lose("orphan")
      assert.strictEqual((yield* verify()).status, "ok")
      yield* smuggle("orphan")
      yield* verify()
      const later = (yield* eventTypes).filter((type) => type === "inconsistency_detected")
      assert.lengthOf(later, 2)
    }).pipe(run(newDatabase())),
  )

  it.live("many inconsistencies are logged a few at a time, each once (promise 3)", () =>
    Effect.gen(function* () {
      yield* logDeployments(Array.from({ length: 25 }, (_, index) => `s${index}`))
      const detected = Effect.map(
        Effect.flatMap(EventStore, (store) => store.filter({ types: ["inconsistency_detected"] })),
        (events) => events.map(({ serviceId }) => serviceId),
      )
      const counts: Array<number> = []
      for (let n = 0; n < 3; n++) {
        yield* verify()
        counts.push((yield* detected).length)
      }
      assert.deepStrictEqual(counts, [20, 25, 25])
      assert.strictEqual(new Set(yield* detected).size, 25)
    }).pipe(run(newDatabase())),
  )

  it.live("a deployment or kill under way is not taken for an inconsistency", () =>
    Effect.gen(function* () {
      const deployer = yield* Deployer
      const churn = yield* Effect.forEach(
        Array.from({ length: 200 }, (_, i) => `s${i % 10}`),
        (name) =>
          Effect.andThen(
            deployer.deploy(caller("acme"), spec(name)),
            Effect.ignore(deployer.kill(caller("acme"), service(name))),
          ),
        { concurrency: 10, discard: true },
      ).pipe(Effect.forkChild)
      while (churn.pollUnsafe() === undefined) {
        const report = yield* verify()
        assert.deepStrictEqual(report.inconsistencies, [])
      }
      yield* Fiber.join(churn)
    }).pipe(run(newDatabase())),
  )

  it.effect("a service whose lock is held for long is left out, not misjudged", () =>
    Effect.gen(function* () {
      yield* smuggle("slow")
      const gate = yield* Deferred.make<void>()
      const locks = yield* ServiceLock
      yield* Effect.forkChild(locks.hold(acme("slow"))(Deferred.await(gate)))
      yield* Effect.yieldNow
      const verification = yield* Effect.forkChild(verify())
      while (verification.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(gate, undefined)
      const report = yield* Fiber.join(verification)
      assert.deepStrictEqual(report.inconsistencies, [])
      assert.strictEqual(report.consistencyChecks.servicesBusy, 1)
    }).pipe(run(newDatabase())),
  )

  it.effect("a service that is as it must be is counted, whoever holds its lock", () =>
    Effect.gen(function* () {
      yield* deploy("a")
      const gate = yield* Deferred.make<void>()
      const held = (yield* ServiceLock).hold(acme("a"))(Deferred.await(gate))
      yield* Effect.forkChild(held, { startImmediately: true })
      const { servicesRunning, servicesBusy } = (yield* verify()).consistencyChecks
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(
        { servicesRunning, servicesBusy },
        { servicesRunning: 1, servicesBusy: 0 },
      )
    }).pipe(run(newDatabase())),
  )

  it.live("events that vanish from the end of a running kernel's log are found (promise 5)", () =>
    Effect.gen(function* () {
      yield* deploy("a", "b")
      const sql = yield* SqlClient
      yield* sql`DELETE FROM events WHERE id = (SELECT max(id) FROM events)`
      const report = yield* verify(true)
      assert.includeMembers(namesOf(report), ["ids_gapless", "head_is_last"])
      // What is written next comes after the gap, which is not forgotten.
      yield* deploy("c")
      const later = namesOf(yield* verify())
      assert.include(later, "ids_gapless")
      assert.notInclude(later, "head_is_last")
    }).pipe(run(newDatabase())),
  )

  it.effect("runs on a schedule, the whole log now and then", () =>
    Effect.gen(function* () {
      const verifier = yield* Verifier
      const first = Option.getOrThrow(yield* verifier.verificationReport)
      assert.isFalse(first.full)
      let last = first
      const fulls: Array<boolean> = []
      for (let n = 1; n <= 5; n++) {
        const before = last
        yield* TestClock.adjust(1000)
        // The database file is examined in a thread, which no test clock moves; and the schedule has
        // to be waiting again before the clock goes on.
        do {
          yield* realTurn
          last = Option.getOrThrow(yield* verifier.verificationReport)
        } while (last.timestamp === before.timestamp)
        yield* realTurn
        fulls.push(last.full)
        assert.deepStrictEqual(last.inconsistencies, [])
      }
      assert.deepStrictEqual(fulls, [true, false, false, true, false])
    }).pipe(run(newDatabase(), { verificationIntervalMs: 1000, fullVerificationIntervalMs: 3000 })),
  )

  it.live("it goes on from the last verified event, and from a checkpoint after a restart", () => {
    const filename = newDatabase()
    return Effect.gen(function* () {
      yield* run(filename)(deploy("a", "b", "c"))
      yield* run(filename)(
        Effect.gen(function* () {
          const first = Option.getOrThrow(yield* (yield* Verifier).verificationReport)
          assert.isAbove(first.consistencyChecks.eventsFrom, 3)
          const second = yield* verify()
          assert.strictEqual(second.consistencyChecks.eventsFrom, first.consistencyChecks.eventsTo)
          const full = yield* verify(true)
          assert.strictEqual(full.consistencyChecks.eventsFrom, 0)
          assert.strictEqual(full.consistencyChecks.eventsChecked, full.consistencyChecks.eventsTo)
        }),
      )
    })
  })

  it.live("registered checks are part of it; one that breaks costs itself only", () =>
    Effect.gen(function* () {
      const checks = yield* VerifierChecks
      const repaired: Array<string> = []
      checks.add({
        name: "parcels",
        verify: () =>
          Effect.succeed({
            figures: { parcels: 7 },
            inconsistencies:
              repaired.length > 0
                ? []
                : [
                    {
                      ...inconsistency("service_has_event", "a token without its event"),
                      invariant: "parcels_have_events",
                      fixable: true,
                    },
                  ],
            recommendations: ["Repair the token."],
          }),
        fix: ({ invariant }) => Effect.sync(() => `repaired ${repaired.push(invariant)}`),
      })
      checks.add({ name: "weather", verify: () => Effect.die("broken") })
      const report = yield* verify()
      assert.deepStrictEqual(namesOf(report), ["parcels_have_events", "check_completes"])
      assert.deepInclude(report.consistencyChecks.registered, {
        parcels: { parcels: 7 },
        weather: {},
      })
      assert.include(report.recommendations, "Repair the token.")
      const { fixes } = yield* (yield* Verifier).autoFix()
      assert.deepStrictEqual(
        fixes.map(({ action }) => action),
        ["repaired"],
      )
      assert.deepStrictEqual(repaired, ["parcels_have_events"])
      assert.deepStrictEqual((yield* (yield* Verifier).autoFix()).fixes, [])
    }).pipe(run(newDatabase())),
  )
})
