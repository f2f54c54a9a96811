/**
 * Backups made and restored, by hand and while a kernel writes; damage refused (promises 1, 5).
 */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

import { factsInOrder } from "../../src/domain/Checkpoint.ts"
import { draft } from "../../src/domain/Event.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { Storage } from "../../src/kernel/log/Storage.ts"
import { DesiredState } from "../../src/kernel/recovery/DesiredState.ts"
import { Verifier } from "../../src/kernel/recovery/Verifier.ts"
import { Deployer } from "../../src/kernel/services/Deployer.ts"
import { backup } from "../../src/main/Backup.ts"
import { restore } from "../../src/main/Restore.ts"
import { layerDigest } from "../kernel/Sha256.ts"
import { caller, newDatabase, run, spec } from "../kernel/verification/Run.ts"

const names = ["a", "b", "c"]

const populate = Effect.gen(function* () {
  const filename = newDatabase()
  yield* Effect.flatMap(Deployer, (deployer) =>
    Effect.forEach(names, (name) => deployer.deploy(caller("acme"), spec(name)), { discard: true }),
  ).pipe(run(filename))
  return filename
})

const newPath = () => join(mkdtempSync(join(tmpdir(), "solo-backup-")), "backup.db")

const start = (filename: string) =>
  Effect.gen(function* () {
    const { status } = yield* (yield* Verifier).verifyConsistency({ full: true })
    const state = yield* (yield* DesiredState).get
    return { status, names: factsInOrder(state).map(({ name }) => name.serviceId as string) }
  }).pipe(run(filename))

const edit = (filename: string, statement: string) => {
  const database = new DatabaseSync(filename)
  database.exec(statement)
  database.close()
}

const reasonOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

describe("backup", () => {
  it.live("of a running kernel is one moment of it, whole and verified", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      const path = newPath()
      yield* Effect.gen(function* () {
        const store = yield* EventStore
        const filler = draft("system_shutdown_started", { reason: "filler".repeat(100) })
        const writer = yield* store.emit(filler).pipe(Effect.forever, Effect.forkChild)
        yield* Effect.sleep("50 millis")
        const before = yield* store.lastId
        const { events, findings } = yield* backup({ database: filename, path })
        const after = yield* store.lastId
        yield* Fiber.interrupt(writer)
        assert.deepStrictEqual(findings, [])
        assert.isAtLeast(events, before)
        assert.isAtMost(events, after)
        // The kernel went on meanwhile.
        assert.isAbove(after, before)
      }).pipe(run(filename))
      assert.deepStrictEqual(readdirSync(dirname(path)), ["backup.db"])
    }).pipe(Effect.provide(layerDigest)),
  )

  it.live("through the kernel's port", () =>
    Effect.gen(function* () {
      const path = newPath()
      yield* Effect.flatMap(Storage, (storage) => storage.backup(path)).pipe(run(yield* populate))
      assert.deepStrictEqual((yield* start(path)).names, names)
    }),
  )

  it.live("never overwrites, and leaves nothing behind when it fails", () =>
    Effect.gen(function* () {
      const database = yield* populate
      const path = newPath()
      writeFileSync(path, "precious")
      assert.match(yield* reasonOf(backup({ database, path })), /there is a file at that path/)
      assert.strictEqual(readFileSync(path, "utf8"), "precious")
      assert.match(
        yield* reasonOf(backup({ database: `${database}.not`, path: newPath() })),
        /there is no database/,
      )
      const nowhere = join(dirname(path), "missing", "backup.db")
      const missing = yield* reasonOf(backup({ database, path: nowhere }))
      assert.include(missing, `${nowhere}: there is no directory ${dirname(nowhere)}`)
      assert.deepStrictEqual(readdirSync(dirname(path)), ["backup.db"])
    }).pipe(Effect.provide(layerDigest)),
  )

  it.live("of a damaged log is refused, unless the damage is accepted", () =>
    Effect.gen(function* () {
      const database = yield* populate
      edit(database, "DELETE FROM events WHERE id = 5")
      const path = newPath()
      assert.match(yield* reasonOf(backup({ database, path })), /damaged: event 5 is missing/)
      assert.isFalse(existsSync(path))
      const { findings } = yield* backup({ database, path, acceptDamage: true })
      assert.deepStrictEqual(findings, ["event 5 is missing"])
      assert.isTrue(existsSync(path))
    }).pipe(Effect.provide(layerDigest)),
  )
})

describe("restore", () => {
  const backedUp = Effect.gen(function* () {
    const database = yield* populate
    const path = newPath()
    yield* backup({ database, path })
    return { database, path }
  })

  it.live("into an empty directory: everything is back", () =>
    Effect.gen(function* () {
      const { path } = yield* backedUp
      const database = join(dirname(newDatabase()), "new", "solo.db")
      const { events } = yield* restore({ path, database })
      assert.isAbove(events, names.length)
      assert.deepStrictEqual(yield* start(database), { status: "ok", names })
    }).pipe(Effect.provide(layerDigest)),
  )

  it.live("refuses a directory that is not empty, unless told; then it moves aside what was", () =>
    Effect.gen(function* () {
      const { database, path } = yield* backedUp
      const directory = dirname(database)
      // What came after the backup, with a log that must not be replayed into it.
      yield* Effect.gen(function* () {
        yield* (yield* Deployer).deploy(caller("acme"), spec("late"))
        copyFileSync(`${database}-wal`, `${database}.kept-wal`)
      }).pipe(run(database))
      copyFileSync(`${database}.kept-wal`, `${database}-wal`)
      const log = join(directory, "logs")
      writeFileSync(log, "stays")
      const refusal = yield* reasonOf(restore({ path, database }))
      assert.match(refusal, /is not empty \(.*solo\.db/)
      assert.match(refusal, /--overwrite .*only its database is moved aside, all else stays/)
      yield* restore({ path, database, overwrite: true })
      assert.strictEqual(readFileSync(log, "utf8"), "stays")
      assert.isFalse(existsSync(`${database}-wal`))
      const aside = readdirSync(directory).filter((name) => name.includes(".before-"))
      assert.strictEqual(aside.length, 3)
      assert.deepStrictEqual(yield* start(database), { status: "ok", names })
    }).pipe(Effect.provide(layerDigest)),
  )

  it.live("keys may be there already", () =>
    Effect.gen(function* () {
      const { path } = yield* backedUp
      const database = newDatabase()
      writeFileSync(join(dirname(database), "master-key"), "key")
      yield* restore({ path, database })
      assert.isTrue(existsSync(database))
    }).pipe(Effect.provide(layerDigest)),
  )

  it.live("refuses a damaged backup, and what is no backup, and leaves the directory alone", () =>
    Effect.gen(function* () {
      const { path } = yield* backedUp
      const damages: ReadonlyArray<readonly [(path: string) => void, RegExp]> = [
        [(file) => truncateSync(file, 5000), /damaged/],
        [
          (file) =>
            writeFileSync(file, "no database at all, but long enough to be read as one".repeat(50)),
          /damaged/,
        ],
        [(file) => writeFileSync(file, ""), /damaged/],
        [
          (file) => edit(file, "UPDATE events SET payload = '{}' WHERE id = 4"),
          /event 4.* was changed/,
        ],
        [(file) => edit(file, "DELETE FROM events WHERE id > 6"), /events 7 to \d+ are missing/],
        [(file) => edit(file, "DROP TABLE events"), /cannot be read/],
      ]
      for (const [inflict, reason] of damages) {
        const damaged = newPath()
        const database = newDatabase()
        copyFileSync(path, damaged)
        inflict(damaged)
        assert.match(yield* reasonOf(restore({ path: damaged, database })), reason)
        assert.deepStrictEqual(readdirSync(dirname(database)), [])
      }
      assert.match(
        yield* reasonOf(restore({ path: `${path}.not`, database: newDatabase() })),
        /there is no such file/,
      )
    }).pipe(Effect.provide(layerDigest)),
  )
})
