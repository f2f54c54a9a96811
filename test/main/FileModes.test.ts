/**
 * Files of databases are for their owner alone, also in a directory that is not (promise 8).
 */
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { Storage } from "../../src/kernel/log/Storage.ts"
import { Deployer } from "../../src/kernel/services/Deployer.ts"
import { hold } from "../../src/main/DataDirectory.ts"
import { restore } from "../../src/main/Restore.ts"
import { layerDigest } from "../kernel/Sha256.ts"
import { caller, newDatabase, run, spec } from "../kernel/verification/Run.ts"

const openDirectory = Effect.acquireRelease(
  Effect.sync(() => {
    const path = fs.mkdtempSync(join(tmpdir(), "solo-modes-"))
    fs.chmodSync(path, 0o755)
    return path
  }),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true })),
)

const modesIn = (directory: string) =>
  Object.fromEntries(
    fs.readdirSync(directory).map((name) => {
      const { mode } = fs.statSync(join(directory, name))
      return [name, (mode & 0o777).toString(8)]
    }),
  )

describe("a file with mode 0600", () => {
  it.live("is each one of a kernel, in a directory that is open to others", () =>
    Effect.gen(function* () {
      const directory = yield* openDirectory
      yield* hold(directory)
      const filename = join(directory, "solo.db")
      const modes = yield* Effect.map(Storage, () => modesIn(directory)).pipe(
        Effect.provide(layerSqlite({ filename, busyTimeoutMs: 0 })),
      )
      for (const name of ["lock.db", "solo.db", "solo.db-wal", "solo.db-shm"]) {
        assert.strictEqual(modes[name], "600", name)
      }
      for (const mode of Object.values(modes)) assert.strictEqual(mode, "600")
    }),
  )

  it.live("is a backup, and what is restored from one that others may read", () =>
    Effect.gen(function* () {
      const directory = yield* openDirectory
      const path = join(directory, "backup.db")
      const database = newDatabase()
      yield* Effect.gen(function* () {
        yield* (yield* Deployer).deploy(caller("acme"), spec("a"))
        yield* (yield* Storage).backup(path)
      }).pipe(run(database))
      assert.strictEqual(modesIn(directory)["backup.db"], "600")
      fs.chmodSync(path, 0o644)
      const restored = join(directory, "data", "solo.db")
      yield* Effect.provide(restore({ path, database: restored }), layerDigest)
      assert.strictEqual(modesIn(join(directory, "data"))["solo.db"], "600")
    }),
  )
})
