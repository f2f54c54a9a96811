/**
 * `node dist/main.js restore <path>`: puts a backup in the place of a data directory's database. To
 * be run while holding the data directory, so with no kernel on it. The database that is replaced is
 * moved aside, never deleted; at every moment in between a start either works or is refused.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs"
import { dirname } from "node:path"

import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import { markOf } from "../../plugins/sqlite/HighWaterMark.ts"
import { sync } from "../../plugins/sqlite/Sync.ts"
import { checkDatabase } from "./DatabaseCheck.ts"
import { reserveFile } from "./Reserve.ts"

/** What may be in a data directory that counts as empty: keys to go with the backup, and the lock. */
const spared = new Set([
  "master-key",
  "root-token",
  "lock.db",
  "lock.db-journal",
  "lock.json",
  reserveFile,
])

/** Nothing was restored; the data directory is as it was. */
class RestoreFailed extends Schema.TaggedError<RestoreFailed>()("RestoreFailed", {
  path: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `${this.path} was not restored: ${this.reason}`
  }
}

/** What to restore, and where. */
export interface RestoreOptions {
  /** The backup. */
  readonly path: string
  /** The database file to put in place; its directory is made if it is missing. */
  readonly database: string
  /** Also where the directory is not empty: its database is moved aside, all else stays. */
  readonly overwrite?: boolean
  /** Restore even a damaged backup: the verifier then reports what is missing. */
  readonly acceptDamage?: boolean
}

const refusal = ({ path, database, overwrite = false }: RestoreOptions): string | undefined => {
  if (!existsSync(path) || !statSync(path).isFile()) return "there is no such file"
  if (existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0) {
    return `it has a write-ahead log beside it (${path}-wal), so it is a database in use and no backup`
  }
  const directory = dirname(database)
  const there = existsSync(directory)
    ? readdirSync(directory).filter((name) => !spared.has(name))
    : []
  if (overwrite || there.length === 0) return undefined
  return `${directory} is not empty (${there.slice(0, 3).join(", ")}); say --overwrite to restore into it (only its database is moved aside, all else stays), or choose another directory`
}

/**
 * Takes the place of `database`. The log goes first: without its database it is refused, while the
 * database would be taken for whole without its log. The mark goes last: it refuses a start that
 * finds no database.
 */
const replace = (database: string, restored: string, stamp: string) => {
  const aside = (file: string) => {
    if (existsSync(file)) renameSync(file, `${file}.before-${stamp}`)
  }
  aside(`${database}-wal`)
  aside(`${database}-shm`)
  aside(database)
  renameSync(restored, database)
  sync(dirname(database))
  aside(markOf(database))
  sync(dirname(database))
}

/** Restores a backup after checking it; answers how many events are in it. */
export const restore = Effect.fn("Restore.restore")(function* (options: RestoreOptions) {
  const { path, database, acceptDamage = false } = options
  const failed = (reason: string) => new RestoreFailed({ path, reason })
  const attempt = <A>(work: () => A) =>
    Effect.try({
      try: work,
      catch: (cause) => failed(cause instanceof Error ? cause.message : String(cause)),
    })
  const reason = yield* attempt(() => refusal(options))
  if (reason !== undefined) return yield* failed(reason)
  const stamp = DateTime.formatIso(yield* DateTime.now).replaceAll(":", "-")
  const restored = `${database}.restoring`
  const discard = Effect.sync(() => {
    for (const suffix of ["", "-wal", "-shm", "-journal"])
      rmSync(restored + suffix, { force: true })
  })
  return yield* Effect.gen(function* () {
    yield* attempt(() => {
      mkdirSync(dirname(database), { recursive: true, mode: 0o700 })
      copyFileSync(path, restored)
      chmodSync(restored, 0o600)
    })
    const check = yield* checkDatabase(restored)
    if (check.findings.length > 0 && !acceptDamage) {
      return yield* failed(`it is damaged: ${check.findings.join("; ")}`)
    }
    yield* attempt(() => {
      sync(restored)
      replace(database, restored, stamp)
    })
    return check
  }).pipe(Effect.ensuring(discard))
})
