/**
 * The embedded default storage: one SQLite file in the data directory, through `node:sqlite`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import { definePlugin, pluginApiVersion, Storage } from "solo"

import { layerClient } from "./Client.ts"
import { makeConnection } from "./Connection.ts"
import { classify } from "./Fault.ts"
import { migrations } from "./Migrations.ts"

const Config = Schema.Struct({
  /** The database file. */
  filename: Schema.String.check(Schema.isMinLength(1)),
  /** How long to wait for another process's lock on it; the kernel stands still meanwhile. */
  busyTimeoutMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60_000 })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(1000)),
  ),
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
  Layer.effect(
    Storage,
    Effect.gen(function* () {
      const sql = yield* SqlClient
      return Storage.of({
        scrub: scrub(config.filename),
        driver: "sqlite",
        classify,
        integrity: Effect.map(
          sql<{ readonly quick_check: string }>`PRAGMA quick_check(100)`,
          (rows) => rows.map((row) => row.quick_check).filter((line) => line !== "ok"),
        ),
      })
    }),
  )

/** Opens, migrates and provides the database. @see layerClient for `open` */
export const layerSqlite = (config: typeof Config.Type, open = makeConnection) =>
  Layer.mergeAll(
    storage(config),
    Layer.effectDiscard(Migrator.make({})({ loader: migrations })),
  ).pipe(Layer.provideMerge(layerClient(config, open)))

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
