/**
 * What lies in the place of the database or is in it, and is not what this Solo put there: refused
 * with words, or read around. docs/damage.md says which (promises 1, 4, 5).
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { SqlClient } from "effect/sql/SqlClient"
import { SqlError, UnknownError } from "effect/sql/SqlError"

import { layerSqlite } from "../../../plugins/sqlite/index.ts"
import { factsInOrder } from "../../../src/domain/Checkpoint.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { Deployer } from "../../../src/kernel/services/Deployer.ts"
import { caller, newDatabase, run, spec } from "../../kernel/verification/Run.ts"

const markOf = (filename: string) => `${filename}.mark`

const edit = (filename: string, ...statements: ReadonlyArray<string>) => {
  const database = new DatabaseSync(filename)
  for (const statement of statements) database.exec(statement)
  database.close()
}

const names = ["a", "b", "c"]

/** A database after a clean run. */
const cleanDatabase = Effect.gen(function* () {
  const filename = newDatabase()
  yield* run(filename)(
    Effect.flatMap(Deployer, (deployer) =>
      Effect.forEach(names, (name) => deployer.deploy(caller("acme"), spec(name))),
    ),
  )
  return filename
})

const start = (filename: string) =>
  Effect.gen(function* () {
    const report = yield* (yield* Verifier).verifyConsistency({ full: true })
    const state = yield* (yield* DesiredState).get
    return {
      names: factsInOrder(state).map(({ name }) => name.serviceId as string),
      found: report.inconsistencies.map(({ invariant }) => invariant),
    }
  }).pipe(run(filename))

/** The message that a start is refused with. */
const refusal = (filename: string) =>
  Effect.map(Effect.exit(start(filename)), (exit) => {
    assert.isTrue(Exit.isFailure(exit), "the start was to be refused")
    const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
    return reason?._tag === "Fail" ? (reason.error as { readonly message: string }).message : ""
  })

describe("something else in the place of the database's files", () => {
  it.live.each(["", "-wal", "-shm"])("a directory at solo.db%s: refused by its name", (suffix) =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      rmSync(filename + suffix, { force: true })
      mkdirSync(filename + suffix)
      const message = yield* refusal(filename)
      assert.include(
        message,
        `${filename}${suffix} is a directory, and must be a file; move it away`,
      )
    }),
  )

  it.live("a database of something else: refused, and left as it is", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      edit(filename, "CREATE TABLE theirs (x)")
      assert.match(yield* refusal(filename), /is no database of Solo.*the table theirs/)
      const database = new DatabaseSync(filename, { readOnly: true })
      const tables = database.prepare("SELECT name FROM sqlite_schema").all()
      database.close()
      assert.deepStrictEqual(
        tables.map(({ name }) => name),
        ["theirs"],
      )
    }),
  )

  it.live("a database with nothing in it where there was one: refused, not begun anew", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      rmSync(filename)
      edit(filename, "PRAGMA user_version = 1")
      assert.match(yield* refusal(filename), /has nothing in it, but had before; restore/)
      rmSync(markOf(filename))
      assert.deepStrictEqual((yield* start(filename)).names, [])
    }),
  )
})

describe("tables that are not as this Solo makes them", () => {
  it.live("of a newer Solo: refused before anything is written, with both numbers", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      edit(
        filename,
        "INSERT INTO effect_sql_migrations (migration_id, name) VALUES (999, 'to_come')",
      )
      const rows = () => {
        const database = new DatabaseSync(filename, { readOnly: true })
        const events = database.prepare("SELECT count(*) AS count FROM events").all()
        database.close()
        return events
      }
      const before = rows()
      assert.match(
        yield* refusal(filename),
        /newer Solo: its schema is number 999, this one knows \d+;/,
      )
      assert.deepStrictEqual(rows(), before)
    }),
  )

  it.live.each(["effect_sql_migrations", "events", "log_head"])(
    "without the table %s: refused, and it is named",
    (table) =>
      Effect.gen(function* () {
        const filename = yield* cleanDatabase
        edit(filename, `DROP TABLE ${table}`)
        const message = yield* refusal(filename)
        assert.include(message, table)
        assert.include(message, "restore the last good backup")
      }),
  )

  it.live("without checkpoints: recovered, they are only a cache (promise 3)", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      edit(filename, "DROP TABLE checkpoints")
      assert.deepStrictEqual(yield* start(filename), { names, found: [] })
    }),
  )

  it.live("with a list of migrations that does not fit: refused with advice", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      edit(filename, "DELETE FROM effect_sql_migrations")
      assert.match(yield* refusal(filename), /is damaged \(table .* already exists\); restore/)
    }),
  )
})

/** Far beyond what a number can hold. */
const huge = "9223372036854775807"

describe("an integer that no number can hold (promise 4)", () => {
  it.live("costs the row it is in, and not those beside it", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      edit(filename, `UPDATE events SET causation_id = ${huge} WHERE type = 'service_recovered'`)
      edit(
        filename,
        `UPDATE events SET causation_id = ${huge} WHERE service_id = 'b' AND type = 'service_deployed'`,
        "DELETE FROM checkpoints",
      )
      const { found, names: back } = yield* start(filename)
      assert.deepStrictEqual(back, ["a", "c"])
      assert.sameMembers(found, ["chain_holds", "events_readable"])
    }),
  )

  it.live("is rounded where it is read, by rows and by values", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const statement = sql`SELECT ${1} AS one, 9223372036854775807 AS huge, 'x' AS text`
      assert.deepStrictEqual(yield* statement, [{ one: 1, huge: Number(huge), text: "x" }])
      assert.deepStrictEqual(yield* statement.values, [[1, Number(huge), "x"]])
      // The statement is kept: what comes next is read as ever.
      assert.deepStrictEqual(yield* sql`SELECT ${2} AS one`, [{ one: 2 }])
    }).pipe(Effect.provide(layerSqlite({ filename: newDatabase(), busyTimeoutMs: 0 }))),
  )

  it.live.each([
    [
      "an event",
      `INSERT INTO events SELECT ${huge}, time, tenant_id, service_id, type, version,
      payload, actor, causation_id, hash FROM events WHERE id = 1`,
    ],
    ["the log's head", `UPDATE log_head SET last_id = ${huge}`],
    ["a checkpoint", `INSERT INTO checkpoints VALUES (${huge}, 'x', 'y', 'z', 'w')`],
  ])("as the id of %s hinders nothing: the log goes on where it was", ([, statement = ""]) =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      edit(filename, statement)
      for (let round = 0; round < 2; round++) {
        assert.deepStrictEqual((yield* start(filename)).names, names)
      }
      const database = new DatabaseSync(filename)
      const [head] = database.prepare("SELECT last_id AS id FROM log_head").all()
      const checkpoints = database.prepare("SELECT last_id FROM checkpoints WHERE last_id > 9999")
      assert.isBelow(head!["id"] as number, 100)
      assert.lengthOf((checkpoints.setReadBigInts(true), checkpoints.all()), 0)
      database.close()
    }),
  )
})

describe("a high-water mark that is wrong (promise 5)", () => {
  const markWith = (filename: string, change: (text: string) => string) =>
    writeFileSync(markOf(filename), change(readFileSync(markOf(filename), "utf8")))

  it.live("is not believed when it was changed: nothing is lost that never was", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      markWith(filename, (text) => text.replace(/"lastId":/, '"lastId":9'))
      const { found, names: back } = yield* start(filename)
      assert.deepStrictEqual(back, names)
      assert.deepStrictEqual(found, [])
    }),
  )

  it.live("is believed without its check, as the first marks were, but not beyond all logs", () =>
    Effect.gen(function* () {
      const whole = yield* cleanDatabase
      for (const [lastId, isBelieved] of [
        [500, true],
        [Number.MAX_SAFE_INTEGER, false],
      ] as const) {
        const filename = newDatabase()
        copyFileSync(whole, filename)
        writeFileSync(markOf(filename), JSON.stringify({ lastId, lastHash: "0".repeat(64) }))
        assert.strictEqual((yield* start(filename)).found.includes("ids_gapless"), isBelieved)
        assert.isTrue(existsSync(markOf(filename)))
      }
    }),
  )

  it.live.each(["DELETE FROM log_head", "UPDATE log_head SET last_id = 3"])(
    "is not taken for ahead of the log where only the head is behind: %s",
    (statement) =>
      Effect.gen(function* () {
        const filename = yield* cleanDatabase
        edit(filename, statement)
        const last = () => {
          const database = new DatabaseSync(filename)
          const [row] = database.prepare("SELECT last_id AS id FROM log_head").all()
          database.close()
          return row?.["id"] as number | undefined
        }
        // Opened and closed without a kernel on it, which would move the head itself.
        yield* Effect.void.pipe(Effect.provide(layerSqlite({ filename, busyTimeoutMs: 0 })))
        assert.oneOf(last(), [undefined, 3])
        assert.deepStrictEqual((yield* start(filename)).found, [])
      }),
  )
})

describe("a database that is sound and cannot be used all the same", () => {
  it.live.each([
    [8, "attempt to write a readonly database", "check the permissions"],
    [13, "database or disk is full", "free space on the disk"],
    [1, "malformed database schema", "restore the last good backup"],
  ] as const)(
    "code %i: refused with the file, the reason and what to do",
    ([errcode, reason, advice]) =>
      Effect.gen(function* () {
        const filename = newDatabase()
        const cause = Object.assign(new Error(reason), { errcode })
        const broken = () =>
          Effect.fail(new SqlError({ reason: new UnknownError({ cause, operation: "open" }) }))
        const error = yield* Effect.flip(
          Effect.void.pipe(Effect.provide(layerSqlite({ filename, busyTimeoutMs: 0 }, broken))),
        )
        for (const part of [filename, reason, advice]) assert.include(error.message, part)
      }),
  )
})
