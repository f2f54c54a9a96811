/**
 * What storage trouble is called, and how an append that was refused is told from one that failed
 * (promises 1 and 4).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { SqlClient } from "effect/sql/SqlClient"
import { ConnectionError, SqlError, UniqueViolation } from "effect/sql/SqlError"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { isConstraint, isRefusal, refuse } from "../../src/kernel/log/Attachment.ts"
import { EventStore, LogClosed } from "../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { note } from "../../src/kernel/log/Note.ts"
import { BackupFailed, StorageError, StorageFault } from "../../src/kernel/log/Storage.ts"
import { said } from "../contract/EventStore.ts"
import { makeDisk } from "./harness/Disk.ts"
import { makeFaults } from "./harness/FaultyStorage.ts"
import { layerDigest } from "./Sha256.ts"

const on = <E>(
  body: (faults: ReturnType<typeof makeFaults>) => Effect.Effect<void, E, EventStore | SqlClient>,
) =>
  Effect.suspend(() => {
    const faults = makeFaults()
    const database = { filename: makeDisk().database, busyTimeoutMs: 0 }
    return Effect.provide(
      body(faults),
      layerEventStore.pipe(
        Layer.provideMerge(layerSqlite(database, faults.open)),
        Layer.provideMerge(layerDigest),
      ),
    )
  })

describe("StorageError", () => {
  it("says what failed, why, and for each cause something else", () => {
    const texts = StorageFault.literals.map((fault) => {
      const { message } = new StorageError({ fault, operation: "append", cause: null })
      assert.match(message, /^append: .{15,}/)
      return message
    })
    assert.strictEqual(new Set(texts).size, StorageFault.literals.length)
    const failed = new BackupFailed({ path: "/to/there", reason: "no room" })
    assert.match(failed.message, /\/to\/there: no room$/)
  })
})

describe("an attachment that refuses", () => {
  it.effect("refuses its own append, and that is told from trouble with storage", () =>
    on((faults) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const refused = yield* Effect.flip(store.append([said("1")], refuse("the parent is gone")))
        assert.isTrue(isRefusal(refused))
        assert.include(String((refused as StorageError).cause), "the parent is gone")
        faults.failWhile((sql) => sql.includes("INSERT INTO events"))
        assert.isFalse(isRefusal(yield* Effect.flip(store.append([said("2")]))))
        assert.isFalse(isRefusal(new LogClosed()))
        assert.strictEqual(yield* store.lastId, 0)
      }),
    ),
  )

  it("knows a constraint by whatever name a driver gives it", () => {
    const cause = "x"
    const unique = new UniqueViolation({ cause, constraint: "events.id" })
    assert.isTrue(isConstraint(new SqlError({ reason: unique })))
    assert.isFalse(isConstraint(new SqlError({ reason: new ConnectionError({ cause }) })))
  })
})

describe("note", () => {
  it.effect("logs what has happened anyway, and a log that takes nothing costs a warning", () =>
    on((faults) =>
      Effect.gen(function* () {
        const said: Array<string> = []
        const logger = Logger.make(
          ({ logLevel, message }) => void said.push(`${logLevel} ${message}`),
        )
        const noting = note(started).pipe(Effect.provide(Logger.layer([logger])))
        assert.strictEqual(yield* noting, 1)
        assert.deepStrictEqual(said, [])
        faults.failWhile((sql) => sql.includes("INSERT INTO events"))
        assert.isNull(yield* noting)
        assert.match(said.join(), /^Warn.*system_shutdown_started/)
      }),
    ),
  )
})

const started = said("anyway")
