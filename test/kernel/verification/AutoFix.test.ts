/**
 * Repairs: each done once or not at all, none that would have to guess (promises 2, 3, 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"

import { draft } from "../../../src/domain/Event.ts"
import { factOf } from "../../../src/domain/State.ts"
import { maxListed } from "../../../src/domain/VerificationReport.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { Checkpoints } from "../../../src/kernel/recovery/Checkpoints.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { Registry } from "../../../src/kernel/services/Registry.ts"
import { sha256 } from "../Sha256.ts"
import {
  acme,
  deploy,
  kill,
  verify,
  logged,
  smuggle,
  logDeployment,
  logDeployments,
  lose,
  isRunning,
  namesOf,
  eventTypes,
  edit,
  cutCheckpoint,
} from "./Mischief.ts"
import { newDatabase, run } from "./Run.ts"

describe("autoFix", () => {
  it.live("4.6.5 brings a missing service back, and changes nothing the second time", () =>
    Effect.gen(function* () {
      const verifier = yield* Verifier
      yield* logDeployment("lost")
      const { fixes, failures, verification } = yield* verifier.autoFix()
      assert.deepStrictEqual(
        fixes.map(({ action, serviceId }) => `${action} ${serviceId}`),
        ["redeployed lost"],
      )
      assert.deepStrictEqual(failures, [])
      assert.strictEqual(verification.status, "ok")
      assert.isTrue(yield* isRunning("lost"))
      const before = yield* eventTypes
      assert.strictEqual(before.filter((type) => type === "service_deployed").length, 1)
      assert.include(before, "auto_fix_applied")
      const again = yield* verifier.autoFix()
      assert.deepStrictEqual(again.fixes, [])
      assert.deepStrictEqual(again.failures, [])
      assert.isFalse(again.verification.full)
      assert.deepStrictEqual((yield* eventTypes).slice(before.length), ["verification_completed"])
    }).pipe(run(newDatabase())),
  )

  it.live("a service without event gets its event, and survives a restart", () => {
    const filename = newDatabase()
    return Effect.gen(function* () {
      yield* run(filename)(
        Effect.gen(function* () {
          yield* deploy("orphan")
          yield* kill("orphan")
          yield* smuggle("fresh")
          const sql = yield* SqlClient
          const source = `export default "fresh"`
          yield* sql`INSERT INTO artifacts ${sql.insert({ hash: sha256(source), source })}`
          const { fixes, verification } = yield* (yield* Verifier).autoFix()
          assert.deepStrictEqual(
            fixes.map(({ action, serviceId }) => `${action} ${serviceId}`),
            ["logged fresh"],
          )
          assert.strictEqual(verification.status, "ok")
          const fact = factOf(yield* (yield* DesiredState).get, acme("fresh"))
          assert.strictEqual(fact?._tag, "Deployed")
        }),
      )
      assert.isTrue(yield* run(filename)(isRunning("fresh")))
    })
  })

  it.live("a killed service that still runs is stopped, not logged back to life (promise 2)", () =>
    Effect.gen(function* () {
      yield* deploy("a")
      yield* kill("a")
      yield* smuggle("a")
      const { fixes, verification } = yield* (yield* Verifier).autoFix()
      assert.deepStrictEqual(
        fixes.map(({ action }) => action),
        ["stopped"],
      )
      assert.strictEqual(verification.status, "ok")
      assert.isUndefined((yield* Registry).get(acme("a")))
    }).pipe(run(newDatabase())),
  )

  it.live("a missing service is marked killed where that is asked for", () =>
    Effect.gen(function* () {
      yield* deploy("a")
      yield* lose("a")
      const { fixes } = yield* (yield* Verifier).autoFix({ missingServices: "kill" })
      assert.deepStrictEqual(
        fixes.map(({ action }) => action),
        ["marked_killed"],
      )
      const fact = factOf(yield* (yield* DesiredState).get, acme("a"))
      assert.strictEqual(fact?._tag, "Killed")
      assert.strictEqual((yield* verify(true)).status, "ok")
    }).pipe(run(newDatabase())),
  )

  it.live("one repair repairs more than a report lists, and leaves nothing for the next", () =>
    Effect.gen(function* () {
      const verifier = yield* Verifier
      const names = Array.from({ length: maxListed + 5 }, (_, index) => `s${index}`)
      yield* logDeployments(names)
      const found = yield* verify()
      assert.lengthOf(found.inconsistencies, maxListed)
      assert.strictEqual(found.inconsistencyCount, names.length)
      const { fixes, verification } = yield* verifier.autoFix({ missingServices: "kill" })
      assert.sameMembers(
        fixes.map(({ serviceId }) => serviceId as string),
        names,
      )
      assert.strictEqual(verification.status, "ok")
      assert.deepStrictEqual((yield* verifier.autoFix({ missingServices: "kill" })).fixes, [])
    }).pipe(run(newDatabase())),
  )

  it.live(
    "a missing service whose source is lost is marked killed: nothing can bring it back",
    () =>
      Effect.gen(function* () {
        yield* logDeployment("gone", false)
        const report = yield* verify()
        assert.sameMembers(namesOf(report), ["event_has_service", "artifact_intact"])
        const { fixes, failures, verification } = yield* (yield* Verifier).autoFix()
        assert.deepStrictEqual(
          fixes.map(({ action }) => action),
          ["marked_killed"],
        )
        assert.deepStrictEqual(failures, [])
        assert.strictEqual(verification.status, "ok")
        const recoveries = (yield* eventTypes).filter((type) => type === "recovery_started")
        assert.lengthOf(recoveries, 1, "nothing is left to recover")
      }).pipe(run(newDatabase())),
  )

  it.live("a running service whose source is lost goes on running: that is for people", () =>
    Effect.gen(function* () {
      yield* deploy("a")
      yield* (yield* SqlClient)`DELETE FROM artifacts`
      const { fixes, verification } = yield* (yield* Verifier).autoFix()
      assert.deepStrictEqual(fixes, [])
      assert.deepStrictEqual(namesOf(verification), ["artifact_intact"])
      assert.isFalse(verification.inconsistencies[0]!.fixable)
      assert.isTrue(yield* isRunning("a"))
    }).pipe(run(newDatabase())),
  )

  it.live("a missing service that does not start stays a known failure", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const source = "syntax error"
      yield* sql`INSERT INTO artifacts ${sql.insert({ hash: sha256(source), source })}`
      const event = draft(
        "service_deployed",
        { revision: 1, spec: logged("bad", source) },
        acme("bad"),
      )
      yield* (yield* DesiredState).record(yield* (yield* EventStore).emit(event))
      const { fixes, failures, verification } = yield* (yield* Verifier).autoFix()
      assert.deepStrictEqual(fixes, [])
      assert.deepStrictEqual(
        failures.map(({ reason }) => reason),
        ["syntax error"],
      )
      assert.strictEqual(verification.status, "ok")
      assert.strictEqual(verification.consistencyChecks.servicesFailed, 1)
    }).pipe(run(newDatabase())),
  )

  it.live("what is ambiguous is reported and left alone", () =>
    Effect.gen(function* () {
      yield* deploy("a")
      const child = (yield* Registry).get(acme("a"))!
      Object.assign(child, { revision: 7 })
      const before = (yield* eventTypes).length
      const { fixes, verification } = yield* (yield* Verifier).autoFix({ full: true })
      assert.deepStrictEqual(fixes, [])
      assert.deepStrictEqual(namesOf(verification), ["service_is_as_deployed"])
      assert.deepStrictEqual((yield* eventTypes).slice(before), [
        "verification_completed",
        "inconsistency_detected",
      ])
    }).pipe(run(newDatabase())),
  )

  it.live("a kill that the log has lost does not raise the dead (promise 2)", () => {
    const filename = newDatabase()
    return Effect.gen(function* () {
      yield* run(filename)(Effect.andThen(deploy("a"), kill("a")))
      edit(filename, "DELETE FROM events WHERE type = 'service_killed'")
      yield* run(filename)(
        Effect.gen(function* () {
          const { fixes, verification } = yield* (yield* Verifier).autoFix({ full: true })
          assert.deepStrictEqual(fixes, [])
          assert.includeMembers(namesOf(verification), [
            "ids_gapless",
            "checkpoint_is_fold",
            "memory_is_fold",
            "event_has_service",
          ])
          assert.isUndefined((yield* Registry).get(acme("a")))
        }),
      )
    })
  })

  it.live("memory that missed a fact is set right", () =>
    Effect.gen(function* () {
      yield* deploy("a")
      const store = yield* EventStore
      const killed = draft("service_killed", { revision: 1, force: false }, acme("a"))
      yield* store.emit(killed)
      const { fixes, verification } = yield* (yield* Verifier).autoFix()
      assert.deepStrictEqual(
        fixes.map(({ action }) => action),
        ["reread", "stopped"],
      )
      assert.strictEqual(verification.status, "ok")
    }).pipe(run(newDatabase())),
  )

  it.live("a wrong checkpoint is found by a full verification and taken anew", () => {
    const filename = newDatabase()
    return Effect.gen(function* () {
      yield* run(filename)(deploy("a", "b"))
      cutCheckpoint(filename)
      yield* run(filename)(
        Effect.gen(function* () {
          const verifier = yield* Verifier
          assert.isFalse(yield* isRunning("b"))
          const { fixes, verification } = yield* verifier.autoFix({ full: true })
          assert.sameMembers(
            fixes.map(({ action }) => action),
            ["reread", "rebuilt", "redeployed"],
          )
          assert.strictEqual(verification.status, "ok")
          assert.isTrue(yield* isRunning("b"))
          assert.strictEqual((yield* (yield* Checkpoints).stored).length, 1)
        }),
      )
    })
  })

  it.live("runs after recovery if enabled, and never holds up the start", () => {
    const filename = newDatabase()
    return Effect.gen(function* () {
      yield* run(filename)(deploy("a", "b"))
      edit(filename, "DELETE FROM artifacts WHERE source LIKE '%a%'")
      yield* run(filename)(
        Effect.gen(function* () {
          assert.strictEqual(factOf(yield* (yield* DesiredState).get, acme("a"))?._tag, "Deployed")
          assert.include(yield* eventTypes, "inconsistency_detected")
        }),
      )
      yield* run(filename, { autoFix: true })(
        Effect.gen(function* () {
          assert.strictEqual(factOf(yield* (yield* DesiredState).get, acme("a"))?._tag, "Killed")
          assert.include(yield* eventTypes, "auto_fix_applied")
        }),
      )
    })
  })
})
