/**
 * Copies a database that is in use into one file that needs nothing beside it. It owns the copy and
 * its structure; whether the log in it holds is checked by whoever knows the log.
 */
import { existsSync, renameSync, rmSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { backup, DatabaseSync } from "node:sqlite"

import * as Effect from "effect/Effect"
import { BackupFailed } from "solo"

import { createClosed } from "./ClosedFile.ts"
import { checkIntegrity } from "./Integrity.ts"
import { sync } from "./Sync.ts"

/** Pages of one step: all of them, so that a writer in between never makes the copy begin anew. */
const allPages = 2 ** 31 - 1

const explain = (path: string) => (cause: unknown) =>
  new BackupFailed({ path, reason: cause instanceof Error ? cause.message : String(cause) })

const copy = async (filename: string, path: string) => {
  createClosed(path)
  const source = new DatabaseSync(filename, { readOnly: true, timeout: 10_000 })
  try {
    await backup(source, path, { rate: allPages })
  } finally {
    source.close()
  }
  const target = new DatabaseSync(path)
  // One file, that a read-only medium can hold: the kernel goes back to a write-ahead log itself.
  target.exec("PRAGMA journal_mode = DELETE")
  target.close()
}

/** Fails if the copy is structurally damaged, because the database is. */
const checkStructure = (path: string) =>
  Effect.fnUntraced(function* (copy: string) {
    const findings = yield* Effect.mapError(checkIntegrity(copy), explain(path))
    if (findings.length === 0) return
    const reason = `the database is damaged: ${findings.slice(0, 3).join("; ")}`
    return yield* new BackupFailed({ path, reason })
  })

/**
 * Copies the database `filename` to the new file `path`; `check` judges the copy before it gets its
 * name. The caller must not write to `path` meanwhile.
 */
export const backupDatabase = Effect.fn("Storage.backup")(function* (
  filename: string,
  path: string,
  check: (copy: string) => Effect.Effect<void, BackupFailed> = checkStructure(path),
) {
  const failed = explain(path)
  const partial = `${path}.partial`
  const attempt = (work: () => void) => Effect.try({ try: work, catch: failed })
  const discard = Effect.sync(() => {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(partial + suffix, { force: true })
  })
  if (existsSync(path)) return yield* failed(new Error("there is a file at that path already"))
  const directory = dirname(resolve(path))
  if (!existsSync(directory)) return yield* failed(new Error(`there is no directory ${directory}`))
  if (!existsSync(filename)) return yield* failed(`there is no database ${filename}`)
  yield* discard
  yield* Effect.gen(function* () {
    yield* Effect.tryPromise({ try: () => copy(filename, partial), catch: failed })
    yield* check(partial)
    yield* attempt(() => {
      sync(partial)
      renameSync(partial, path)
      sync(dirname(resolve(path)))
    })
  }).pipe(Effect.ensuring(discard))
})
