/**
 * The embedded default storage: one SQLite file in the data directory, through `node:sqlite`.
 */
import { existsSync } from "node:fs"

import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import { isSqlError } from "effect/sql/SqlError"
import { bounded, definePlugin, pluginApiVersion, Storage, type StorageFault } from "solo"

import { backupDatabase } from "./Backup.ts"
import { layerClient } from "./Client.ts"
import { inMemory, makeConnection } from "./Connection.ts"
import { DatabaseDamaged, restoreAdvice } from "./DatabaseDamaged.ts"
import { classify } from "./Fault.ts"
import { followHighWater, markOf } from "./HighWaterMark.ts"
import { checkIntegrity } from "./Integrity.ts"
import { migrations } from "./Migrations.ts"
import { preflight } from "./Preflight.ts"
import { checkOrigin, checkTables } from "./Schema.ts"

const Config = Schema.Struct({
  /** The database file. */
  filename: Schema.String.check(Schema.isMinLength(1)),
  /** How long to wait for another process's lock on it; the kernel stands still meanwhile. */
  busyTimeoutMs: bounded(0, 60_000, 1000),
})

// A connection of its own that never waits: a reader in the way must not hold up the kernel.
const scrub = (filename: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* makeConnection({ filename, readOnly: false, busyTimeoutMs: 0 })
      const [row] = yield* connection.executeUnprepared(
        "PRAGMA wal_checkpoint(TRUNCATE)",
        [],
        undefined,
      )
      return (row as { readonly busy: number }).busy === 0
    }),
  )

const storage = (config: typeof Config.Type) =>
  Layer.succeed(
    Storage,
    Storage.of({
      driver: "sqlite",
      classify,
      integrity: checkIntegrity(config.filename),
      backup: (path) => backupDatabase(config.filename, path),
      scrub: scrub(config.filename),
    }),
  )

/** Another process holds a lock on the database, so it cannot be opened or migrated. */
class DatabaseLocked extends Schema.TaggedError<DatabaseLocked>()("DatabaseLocked", {
  filename: Schema.String,
}) {
  override get message(): string {
    return `${this.filename} is locked by another process; end that one, such as a database browser or a copy in progress, and start again`
  }
}

/** What helps where the database is sound and cannot be used all the same. */
const advices: Partial<Record<StorageFault, string>> = {
  full: "free space on the disk, and start again",
  io: "check the permissions of the file and its directory, and the disk",
}

/** What SQLite meets while it opens or migrates the database refuses the start too. */
const explain = <E>(filename: string, error: E): E | DatabaseDamaged | DatabaseLocked => {
  const cause = error instanceof Migrator.MigrationError ? error.cause : error
  if (!isSqlError(cause)) return error
  const fault = classify(cause)
  if (fault === "locked") return new DatabaseLocked({ filename })
  const said = cause.reason.cause instanceof Error ? cause.reason.cause.message : cause.message
  // SQLite calls it an I/O error where there is no room for the index of its write-ahead log.
  const reason = fault === "full" ? "database or disk is full" : said
  return new DatabaseDamaged({
    filename,
    damage: `${advices[fault] === undefined ? "is damaged" : "cannot be used"} (${reason})`,
    advice: advices[fault] ?? restoreAdvice,
  })
}

// A database in memory has no files to look at, nor to mark.
const guard = (filename: string) =>
  Layer.effectDiscard(filename === inMemory ? Effect.void : preflight(filename, markOf(filename)))

const follow = (filename: string) =>
  Layer.effectDiscard(filename === inMemory ? Effect.void : followHighWater(filename))

const migrate = Effect.fnUntraced(function* (filename: string) {
  yield* checkOrigin(filename, existsSync(markOf(filename)))
  yield* Migrator.make({})({ loader: migrations })
  yield* checkTables(filename)
})

/** Opens, migrates and provides the database. @see layerClient for `open` */
export const layerSqlite = (config: typeof Config.Type, open = makeConnection) =>
  Layer.mergeAll(storage(config), follow(config.filename)).pipe(
    Layer.provideMerge(Layer.effectDiscard(migrate(config.filename))),
    Layer.provideMerge(layerClient(config, open)),
    Layer.provide(guard(config.filename)),
    Layer.catch((error) =>
      Layer.effectContext(
        Effect.fail(explain(config.filename, error)).pipe(
          Effect.as(Context.empty() as Context.Context<SqlClient | Storage>),
        ),
      ),
    ),
  )

/** The plugin `sqlite`. */
export default definePlugin({
  name: "sqlite",
  version: "0.1.0",
  apiVersion: pluginApiVersion,
  needs: [],
  provides: [SqlClient, Storage],
  config: Config,
  layer: (config) => layerSqlite(config),
})
