/**
 * What a verification sees of storage, log and checkpoints, how far it says it has come, and what
 * is left to say when the database cannot be read (promises 1, 3, 5 and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"

import { layerSqlite } from "../../../plugins/sqlite/index.ts"
import { SecretName } from "../../../src/domain/Secret.ts"
import { Storage } from "../../../src/kernel/log/Storage.ts"
import { Verifier, VerifierChecks } from "../../../src/kernel/recovery/Verifier.ts"
import { Vault } from "../../../src/kernel/vault/Vault.ts"
import { makeFaults } from "../harness/FaultyStorage.ts"
import * as Machine from "../harness/Machine.ts"
import { makeWorld } from "../harness/ScriptedRuntime.ts"
import { deploy, edit, namesOf, smuggle, verify } from "./Mischief.ts"
import { caller, newDatabase, run } from "./Run.ts"

/** A sound database file whose examination says something else. */
const unsound = (filename: string, findings: number) =>
  Layer.effect(
    Storage,
    Effect.map(Storage, (storage) => ({
      ...storage,
      integrity: Effect.succeed(Array.from({ length: findings }, (_, page) => `page ${page}`)),
    })),
  ).pipe(Layer.provideMerge(layerSqlite({ filename, busyTimeoutMs: 100 })))

describe("an examination", () => {
  it.live(
    "a full one examines the database file, and lists a bounded part of what it finds",
    () => {
      const filename = newDatabase()
      return Effect.gen(function* () {
        assert.deepStrictEqual((yield* verify()).inconsistencies, [])
        const report = yield* verify(true)
        assert.deepStrictEqual(
          report.inconsistencies.map(({ invariant, detail }) => `${invariant}: ${detail}`),
          Array.from({ length: 10 }, (_, page) => `storage_sound: page ${page}`),
        )
        assert.strictEqual(report.status, "error")
      }).pipe(run(filename, {}, unsound(filename, 15)))
    },
  )

  it.live("a damaged checkpoint is a warning, and what is worse is advised about first", () => {
    const filename = newDatabase()
    return Effect.gen(function* () {
      yield* run(filename)(deploy("a"))
      edit(filename, "UPDATE checkpoints SET state = state || ' '")
      const warned = yield* run(filename)(verify(true))
      assert.deepStrictEqual(namesOf(warned), ["checkpoint_is_whole"])
      assert.strictEqual(warned.status, "warning")
      assert.isAbove(warned.inconsistencies[0]!.eventId!, 0)
      edit(filename, "UPDATE checkpoints SET state = state || ' '")
      const damaged = run(filename, {}, unsound(filename, 1))
      const { recommendations, status } = yield* damaged(verify(true))
      assert.strictEqual(status, "error")
      assert.lengthOf(recommendations, 2)
      assert.match(recommendations[0]!, /database file/)
      assert.match(recommendations[1]!, /checkpoint/)
    })
  })

  it.live("a head that is not the last event is found by its id, and by its hash (promise 5)", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const [head] = yield* sql<{ readonly last_id: number }>`SELECT last_id FROM log_head`
      yield* sql`UPDATE log_head SET last_hash = ${"0".repeat(64)}`
      const wrong = yield* verify()
      assert.deepStrictEqual(
        wrong.inconsistencies.map(({ invariant, eventId }) => [invariant, eventId]),
        [["head_is_last", head!.last_id]],
      )
      yield* sql`DELETE FROM log_head`
      const missing = yield* verify()
      assert.deepStrictEqual(
        missing.inconsistencies.map(({ invariant, eventId }) => [invariant, eventId]),
        [["head_is_last", null]],
      )
    }).pipe(run(newDatabase())),
  )

  it.live("says how far it has come while it goes on, and nothing after it", () =>
    Effect.gen(function* () {
      const verifier = yield* Verifier
      const seen: Array<unknown> = []
      const asked: Array<boolean> = []
      ;(yield* VerifierChecks).add({
        name: "watch",
        verify: ({ full }) =>
          Effect.map(verifier.progress, (progress) => {
            seen.push(Option.getOrUndefined(progress))
            asked.push(full)
            return { figures: {}, inconsistencies: [], recommendations: [] }
          }),
      })
      yield* deploy("a", "b")
      for (const full of [true, false]) {
        const { consistencyChecks: checks } = yield* verify(full)
        const { eventsFrom, eventsTo, eventsChecked } = checks
        assert.strictEqual(eventsChecked, eventsTo - eventsFrom)
        const progress = { full, eventsChecked: eventsTo, eventsTotal: eventsTo }
        assert.deepStrictEqual(seen.pop(), progress)
        assert.strictEqual(asked.pop(), full)
        assert.isTrue(Option.isNone(yield* verifier.progress))
      }
    }).pipe(run(newDatabase())),
  )

  it.live("decodes the names of secrets: a row whose name can be none is not opened", () =>
    Effect.gen(function* () {
      const vault = yield* Vault
      yield* vault.store(caller("acme"), SecretName.make("one"), Redacted.make("value"))
      yield* (yield* SqlClient)`UPDATE secrets SET name = '/'`
      const { inconsistencies } = yield* verify(true)
      assert.deepStrictEqual(
        inconsistencies
          .filter(({ invariant }) => invariant === "vault_opens")
          .map(({ detail, tenantId }) => [tenantId as string | null, detail]),
        [["acme", "the row of the secret / cannot be read"]],
      )
    }).pipe(run(newDatabase())),
  )

  it.live("counts what it found in the log with all the rest", () =>
    Effect.gen(function* () {
      yield* deploy("a", "b")
      yield* smuggle("orphan")
      yield* (yield* SqlClient)`DELETE FROM events WHERE id = 2`
      const { inconsistencies, inconsistencyCount } = yield* verify(true)
      assert.isAbove(inconsistencyCount, 1)
      assert.strictEqual(inconsistencyCount, inconsistencies.length)
    }).pipe(run(newDatabase())),
  )

  it.effect("of a kernel that still recovers says that nothing has come back yet", () =>
    Effect.gen(function* () {
      const first = yield* Machine.boot()
      yield* Machine.deploy(first, Machine.named("acme", "a"))
      yield* Machine.halt(first)
      const world = makeWorld()
      world.overrides.set("acme/a", { startMs: 4000 })
      const settings = { verificationIntervalMs: 1000 }
      const [kernel, start] = yield* Machine.build({ disk: first.disk, world, settings })
      const starting = yield* Effect.forkChild(start)
      yield* Machine.settle
      const report = yield* kernel.verifier.verifyConsistency()
      assert.strictEqual(report.consistencyChecks.servicesRecovered, 0)
      assert.strictEqual(report.consistencyChecks.servicesDeployed, 1)
      // Nor does the schedule look at what is not there yet.
      for (let second = 0; second < 3; second++) {
        yield* Machine.pass(1000)
        assert.deepStrictEqual(yield* kernel.verifier.verificationReport, Option.some(report))
        assert.isTrue(Option.isNone(yield* kernel.verifier.progress))
      }
      yield* Machine.pass(1000)
      yield* Fiber.join(starting)
      const later = yield* kernel.verifier.verifyConsistency()
      assert.strictEqual(later.consistencyChecks.servicesRecovered, 1)
      yield* Machine.halt(kernel)
    }),
  )

  for (const table of ["checkpoints", "log_head"]) {
    it.effect(
      `of a database whose ${table} cannot be read says so, and claims nothing else (promise 10)`,
      () =>
        Effect.gen(function* () {
          const faults = makeFaults()
          const kernel = yield* Machine.boot({ open: faults.open })
          yield* Machine.deploy(kernel, Machine.named("acme", "a"))
          const sound = yield* kernel.verifier.verifyConsistency()
          const isRead = (sql: string) => sql.includes("SELECT") && sql.includes(table)
          faults.failWhile(isRead, 11)
          const report = yield* kernel.verifier.verifyConsistency({ full: true })
          assert.deepStrictEqual(namesOf(report), ["storage_sound"])
          assert.strictEqual(report.inconsistencyCount, 1)
          assert.strictEqual(report.status, "error")
          assert.lengthOf(report.recommendations, 1)
          assert.deepInclude(report.consistencyChecks, {
            servicesRunning: 0,
            eventsChecked: 0,
            eventsFrom: sound.consistencyChecks.eventsTo,
            eventsTo: sound.consistencyChecks.eventsTo,
          })
          // Any other failure is the caller's to see, and what was reported before it stays.
          faults.failWhile(isRead, 10)
          const failure = yield* Effect.flip(kernel.verifier.verifyConsistency({ full: true }))
          assert.strictEqual(failure.fault, "io")
          assert.deepStrictEqual(yield* kernel.verifier.verificationReport, Option.some(report))
          faults.stop()
          assert.strictEqual(
            (yield* kernel.verifier.verifyConsistency({ full: true })).status,
            "ok",
          )
          yield* Machine.halt(kernel)
        }),
    )
  }
})
