/**
 * The tables the kernel's services live in, as migrations that run once, in order, each in a
 * transaction. A released migration is never changed: a change is a new migration.
 */
import * as Effect from "effect/Effect"
import { fromRecord } from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"

const createLog = Effect.gen(function* () {
  const sql = yield* SqlClient
  yield* sql`
    CREATE TABLE artifacts (
      hash TEXT PRIMARY KEY NOT NULL,
      source TEXT NOT NULL
    ) STRICT, WITHOUT ROWID`
  yield* sql`
    CREATE TABLE events (
      id INTEGER PRIMARY KEY NOT NULL,
      time TEXT NOT NULL,
      tenant_id TEXT,
      service_id TEXT,
      type TEXT NOT NULL,
      version INTEGER NOT NULL,
      payload TEXT NOT NULL,
      actor TEXT,
      causation_id INTEGER,
      hash TEXT NOT NULL
    ) STRICT`
  yield* sql`CREATE INDEX events_by_tenant ON events (tenant_id, id)`
  yield* sql`CREATE INDEX events_by_service ON events (tenant_id, service_id, id)`
  yield* sql`CREATE INDEX events_by_type ON events (type, id)`
  // The end of the log, moved in the transaction that appends: what is missing after it shows.
  yield* sql`
    CREATE TABLE log_head (
      singleton INTEGER PRIMARY KEY NOT NULL CHECK (singleton = 1),
      last_id INTEGER NOT NULL,
      last_hash TEXT NOT NULL
    ) STRICT`
})

const createCheckpoints = Effect.gen(function* () {
  const sql = yield* SqlClient
  yield* sql`
    CREATE TABLE checkpoints (
      last_id INTEGER PRIMARY KEY NOT NULL,
      last_hash TEXT NOT NULL,
      format TEXT NOT NULL,
      state TEXT NOT NULL,
      checksum TEXT NOT NULL
    ) STRICT`
})

/** All migrations. */
export const migrations = fromRecord({
  "0001_create_log": createLog,
  "0004_create_checkpoints": createCheckpoints,
})
