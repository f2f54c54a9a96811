/**
 * Checkpoints: what they save a start, and that a wrong one costs time, never truth (promise 3).
 */
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"

import {
  checkpointFormat,
  decodeState,
  encodeFact,
  factsInOrder,
} from "../../../src/domain/Checkpoint.ts"
import { draft } from "../../../src/domain/Event.ts"
import { factOf, shouldRun } from "../../../src/domain/State.ts"
import { Lifecycle } from "../../../src/kernel/Lifecycle.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { Checkpoints } from "../../../src/kernel/recovery/Checkpoints.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Replayer } from "../../../src/kernel/recovery/Replayer.ts"
import { Deployer } from "../../../src/kernel/services/Deployer.ts"
import { build, halt, pass, settle } from "../harness/Machine.ts"
import { sha256 } from "../Sha256.ts"
import { reseal } from "./Mischief.ts"
import { caller, newDatabase, run, service, spec, tenant } from "./Run.ts"

/** Deploys `a`, `b` and `c`, kills `b`, in one clean run. */
const populate = (filename: string) =>
  Effect.gen(function* () {
    const deployer = yield* Deployer
    for (const name of ["a", "b", "c"]) yield* deployer.deploy(caller("acme"), spec(name))
    yield* deployer.kill(caller("acme"), service("b"))
  }).pipe(run(filename))

/** What a start makes of the log. */
const restart = (filename: string) =>
  Effect.gen(function* () {
    const state = yield* (yield* DesiredState).get
    const report = Option.getOrThrow(yield* (yield* Replayer).recoveryReport)
    return {
      running: shouldRun(state).map((fact) => fact.name.serviceId),
      killed: factOf(state, { tenantId: tenant("acme"), serviceId: service("b") })?._tag,
      facts: factsInOrder(state),
      folded: report.eventsReplayed,
      recovered: report.recovered,
      previousEnd: (yield* Lifecycle).previousEnd,
    }
  }).pipe(run(filename))

const edit = (filename: string, statement: string) => {
  const database = new DatabaseSync(filename)
  database.exec(statement)
  database.close()
}

describe("checkpoints", () => {
  it.live("one whose columns hold other things than text is passed over (promise 4)", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      edit(
        filename,
        `ALTER TABLE checkpoints RENAME TO good;
        CREATE TABLE checkpoints (last_id INTEGER PRIMARY KEY, last_hash, format, state, checksum);
        INSERT INTO checkpoints SELECT * FROM good`,
      )
      reseal(filename, (row) => ({ ...row, state: 5 as never }))
      const after = yield* restart(filename)
      assert.deepStrictEqual(after.running, ["a", "c"])
      assert.isAbove(after.folded, 0)
    }),
  )

  it.live("a clean shutdown leaves one, and the next start folds nothing (promise 3)", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      const after = yield* restart(filename)
      assert.deepStrictEqual(after.running, ["a", "c"])
      assert.strictEqual(after.killed, "Killed")
      assert.strictEqual(after.folded, 0)
      assert.strictEqual(after.previousEnd, "clean")
    }),
  )

  const damages: ReadonlyArray<readonly [string, string]> = [
    ["deleted", "DELETE FROM checkpoints"],
    ["emptied", "UPDATE checkpoints SET state = ''"],
    ["cut", "UPDATE checkpoints SET state = substr(state, 1, length(state) / 2)"],
    ["changed", `UPDATE checkpoints SET state = replace(state, '"Killed"', '"Deployed"')`],
    ["of another format", "UPDATE checkpoints SET format = '0'"],
    ["tied to another event", "UPDATE checkpoints SET last_id = last_id - 1"],
    ["tied to another hash", "UPDATE checkpoints SET last_hash = ''"],
    ["ahead of the log", "UPDATE checkpoints SET last_id = last_id + 100"],
  ]
  for (const [damage, statement] of damages) {
    it.live(`one that is ${damage} costs time, never truth (promise 4)`, () =>
      Effect.gen(function* () {
        const filename = newDatabase()
        yield* populate(filename)
        const before = yield* restart(filename)
        edit(filename, statement)
        const after = yield* restart(filename)
        assert.deepStrictEqual(after.facts, before.facts)
        assert.strictEqual(after.folded, 4)
        assert.strictEqual(after.recovered, 2)
      }),
    )
  }

  const forgeries: ReadonlyArray<readonly [string, Parameters<typeof reseal>[1]]> = [
    ["of another log", (row) => ({ ...row, last_hash: sha256("another"), state: "" })],
    ["of an older fold", (row) => ({ ...row, format: "0.1/service_deployed", state: "" })],
    ["of no state at all", (row) => ({ ...row, state: '{"_tag":"Undead"}' })],
  ]
  for (const [what, change] of forgeries) {
    it.live(`one that is whole but ${what} is passed over`, () =>
      Effect.gen(function* () {
        const filename = newDatabase()
        yield* populate(filename)
        reseal(filename, change)
        const after = yield* restart(filename)
        assert.deepStrictEqual(after.running, ["a", "c"])
        assert.strictEqual(after.folded, 4)
      }),
    )
  }

  it.live("when the newest is damaged, the one before it is used", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      yield* Effect.flatMap(Deployer, (deployer) =>
        deployer.deploy(caller("acme"), spec("d")),
      ).pipe(run(filename))
      edit(
        filename,
        "UPDATE checkpoints SET checksum = '' WHERE last_id = (SELECT max(last_id) FROM checkpoints)",
      )
      const after = yield* restart(filename)
      assert.deepStrictEqual(after.running, ["a", "c", "d"])
      assert.strictEqual(after.folded, 1)
    }),
  )

  it.effect("one is taken in the background after so many events, two are kept", () =>
    Effect.gen(function* () {
      const checkpoints = yield* Checkpoints
      const store = yield* EventStore
      const newest = Effect.map(checkpoints.stored, (stored) => stored[0]?.id ?? 0)
      const ids: Array<number> = []
      const filler = draft("system_shutdown_started", { reason: "filler" })
      for (let round = 0; round < 4; round++) {
        yield* Effect.repeat(store.emit(filler), { times: 19 })
        yield* Effect.repeat(Effect.andThen(TestClock.adjust("1 second"), newest), {
          until: (id) => id > (ids.at(-1) ?? 0),
        })
        ids.push(yield* newest)
      }
      assert.strictEqual(new Set(ids).size, 4)
      assert.strictEqual((yield* checkpoints.stored).length, 2)
    }).pipe(run(newDatabase(), { checkpointEvery: 10 })),
  )

  it.live("is exactly the fold at its event while deployments and kills go on (promise 10)", () =>
    Effect.gen(function* () {
      const checkpoints = yield* Checkpoints
      const deployer = yield* Deployer
      const churn = Effect.forEach(
        Array.from({ length: 40 }, (_, i) => `s${i % 8}`),
        (name) =>
          Effect.andThen(
            deployer.deploy(caller("acme"), spec(name)),
            Effect.ignore(deployer.kill(caller("acme"), service(name))),
          ),
        { concurrency: 8, discard: true },
      )
      yield* Effect.all([churn, Effect.repeat(checkpoints.take, { times: 20 })], {
        concurrency: 2,
      })
      yield* checkpoints.take
      const [incremental] = yield* checkpoints.stored
      yield* checkpoints.rebuild
      const [whole] = yield* checkpoints.stored
      assert.strictEqual(incremental!.text, whole!.text)
      assert.strictEqual(incremental!.flaw, undefined)
      const state = yield* (yield* DesiredState).get
      assert.strictEqual(yield* checkpoints.textOf(state), whole!.text)
    }).pipe(run(newDatabase())),
  )

  const flaws: ReadonlyArray<readonly [string, (filename: string) => void, RegExp]> = [
    [
      "changed",
      (filename) => edit(filename, "UPDATE checkpoints SET state = state || ' '"),
      /checksum is wrong/,
    ],
    [
      "ahead of the log",
      (filename) => reseal(filename, (row) => ({ ...row, last_id: row.last_id + 100 })),
      /^the log has no event 1\d\d$/,
    ],
    [
      "of another log",
      (filename) => reseal(filename, (row) => ({ ...row, last_hash: sha256("another") })),
      /^event \d+ of the log has another hash$/,
    ],
  ]
  for (const [what, damage, flaw] of flaws) {
    it.live(`says what is wrong with one that is ${what}`, () =>
      Effect.gen(function* () {
        const filename = newDatabase()
        yield* populate(filename)
        damage(filename)
        const [stored] = yield* Effect.flatMap(
          Checkpoints,
          (checkpoints) => checkpoints.stored,
        ).pipe(run(filename))
        assert.match(String(stored?.flaw), flaw)
      }),
    )
  }

  it.live("none is taken while nothing was logged since, nor where the log's end is missing", () =>
    Effect.gen(function* () {
      const checkpoints = yield* Checkpoints
      const store = yield* EventStore
      const sql = yield* SqlClient
      const ids = Effect.map(checkpoints.stored, (stored) => stored.map(({ id }) => id))
      yield* checkpoints.take
      const [newest] = yield* ids
      assert.strictEqual(newest, yield* store.lastId)
      yield* sql`DELETE FROM checkpoints`
      yield* checkpoints.take
      assert.deepStrictEqual(yield* ids, [], "nothing new")
      const filler = draft("system_shutdown_started", { reason: "filler" })
      const { id } = yield* store.emit(filler)
      yield* sql`DELETE FROM events WHERE id = ${id}`
      yield* checkpoints.take
      assert.deepStrictEqual(yield* ids, [], "nothing to tie it to")
      yield* store.emit(filler)
      yield* checkpoints.take
      assert.deepStrictEqual(yield* ids, [id + 1])
    }).pipe(run(newDatabase())),
  )

  it.effect("the next one is taken after exactly so many events", () =>
    Effect.gen(function* () {
      const checkpoints = yield* Checkpoints
      const store = yield* EventStore
      const newest = Effect.map(checkpoints.stored, (stored) => stored[0]?.id)
      const filler = draft("system_shutdown_started", { reason: "filler" })
      const aSecond = Effect.andThen(TestClock.adjust("1 second"), settle)
      yield* checkpoints.take
      const before = yield* newest
      yield* Effect.repeat(store.emit(filler), { times: 48 })
      yield* aSecond
      assert.strictEqual(yield* newest, before)
      yield* store.emit(filler)
      yield* aSecond
      assert.strictEqual(yield* newest, before! + 50)
    }).pipe(run(newDatabase(), { checkpointEvery: 50 })),
  )

  it.effect("a start that takes its time does not end the taking of them", () =>
    Effect.gen(function* () {
      const [kernel, start] = yield* build({ settings: { checkpointEvery: 50 } })
      yield* pass(3000, 1000)
      yield* start
      const filler = draft("system_shutdown_started", { reason: "filler" })
      yield* Effect.repeat(kernel.store.emit(filler), { times: 60 })
      yield* pass(1000)
      yield* settle
      const database = new DatabaseSync(kernel.disk.database)
      assert.isNotEmpty(database.prepare("SELECT * FROM checkpoints").all())
      database.close()
      yield* halt(kernel)
    }),
  )

  it.live("one of another version of Solo is none", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      edit(filename, "UPDATE checkpoints SET format = '0'")
      const stored = Effect.flatMap(Checkpoints, (checkpoints) => checkpoints.stored)
      const ids = (yield* stored.pipe(run(filename))).map(({ id }) => id)
      assert.deepStrictEqual(ids, [])
    }),
  )

  it.live("says what it was doing when storage failed", () =>
    Effect.gen(function* () {
      const checkpoints = yield* Checkpoints
      const sql = yield* SqlClient
      yield* (yield* EventStore).emit(draft("system_shutdown_started", { reason: "filler" }))
      yield* sql`ALTER TABLE events RENAME TO lost`
      assert.match((yield* Effect.flip(checkpoints.take)).message, /^read the end of the log: /)
      yield* sql`ALTER TABLE lost RENAME TO events`
      yield* sql`ALTER TABLE checkpoints RENAME TO lost`
      assert.match((yield* Effect.flip(checkpoints.stored)).message, /^read checkpoints: /)
      yield* sql`ALTER TABLE lost RENAME TO checkpoints`
    }).pipe(run(newDatabase())),
  )

  it.live("one that cannot be taken is said to be so, and does not spoil the end (promise 9)", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      const problems = yield* Effect.gen(function* () {
        const checkpoints = yield* Checkpoints
        const sql = yield* SqlClient
        yield* sql`CREATE TRIGGER fault BEFORE INSERT ON checkpoints
          BEGIN SELECT RAISE(FAIL, 'x'); END`
        yield* (yield* EventStore).emit(draft("system_shutdown_started", { reason: "filler" }))
        assert.match((yield* Effect.flip(checkpoints.take)).message, /^write a checkpoint: /)
        yield* sql`CREATE TRIGGER stuck BEFORE DELETE ON checkpoints
          BEGIN SELECT RAISE(FAIL, 'x'); END`
        assert.match((yield* Effect.flip(checkpoints.rebuild)).message, /^drop checkpoints: /)
        return (yield* Lifecycle).problems
      }).pipe(run(filename))
      assert.deepStrictEqual(problems(), [])
      assert.strictEqual((yield* restart(filename)).previousEnd, "clean")
    }),
  )

  it.live("is read back as it was written", () =>
    Effect.gen(function* () {
      yield* (yield* Deployer).deploy(caller("acme"), spec("a"))
      const facts = factsInOrder(yield* (yield* DesiredState).get)
      const decoded = decodeState(facts.map(encodeFact).join("\n"))
      assert.isTrue(decoded._tag === "Success")
      assert.deepStrictEqual(decoded._tag === "Success" ? factsInOrder(decoded.success) : [], facts)
      assert.include(checkpointFormat, "service_deployed,service_killed")
    }).pipe(run(newDatabase())),
  )

  it.live("a start asks the log only what its indexes answer", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const plan = (query: string) =>
        Effect.map(sql.unsafe<{ readonly detail: string }>(`EXPLAIN QUERY PLAN ${query}`), (rows) =>
          rows.map((row) => row.detail).join("; "),
        )
      const newest = yield* plan("SELECT id, hash FROM events ORDER BY id DESC LIMIT 1")
      const last = yield* plan("SELECT * FROM events WHERE id > 5 ORDER BY id LIMIT 1000")
      const facts = yield* plan(
        `SELECT * FROM (SELECT * FROM events WHERE id > 5 AND type = 'service_deployed' ORDER BY id LIMIT 512)
         UNION ALL SELECT * FROM (SELECT * FROM events WHERE id > 5 AND type = 'service_killed' ORDER BY id LIMIT 512)
         ORDER BY id LIMIT 512`,
      )
      // Walks the rows by id, from the end, and takes the first.
      assert.strictEqual(newest, "SCAN events")
      assert.include(last, "SEARCH events USING INTEGER PRIMARY KEY")
      assert.strictEqual(
        facts.split("SEARCH events USING INDEX events_by_type (type=? AND id>?)").length,
        3,
      )
      // What is sorted is what the searches let through: two pages at most.
      assert.notMatch(facts, /SEARCH events[^;]*; USE TEMP B-TREE/)
    }).pipe(run(newDatabase())),
  )
})
