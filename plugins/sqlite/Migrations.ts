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

const createTokens = Effect.gen(function* () {
  const sql = yield* SqlClient
  // A token goes with its parent: the database itself keeps a revocation whole.
  yield* sql`
    CREATE TABLE tokens (
      token_hash TEXT PRIMARY KEY NOT NULL,
      tenant_id TEXT NOT NULL,
      permissions TEXT NOT NULL,
      service_id TEXT,
      granted_at INTEGER NOT NULL,
      granted_by TEXT NOT NULL,
      expires_at INTEGER,
      rate_limit TEXT,
      metadata TEXT NOT NULL,
      parent TEXT REFERENCES tokens (token_hash) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID`
  yield* sql`CREATE INDEX tokens_by_tenant ON tokens (tenant_id, token_hash)`
  yield* sql`CREATE INDEX tokens_by_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL`
  yield* sql`CREATE INDEX tokens_by_parent ON tokens (parent) WHERE parent IS NOT NULL`
})

const createVault = Effect.gen(function* () {
  const sql = yield* SqlClient
  // One row per master key in use: what only that key opens tells it from any other.
  yield* sql`
    CREATE TABLE vault_master_keys (
      key_id TEXT PRIMARY KEY NOT NULL,
      sealed BLOB NOT NULL
    ) STRICT, WITHOUT ROWID`
  yield* sql`
    CREATE TABLE vault_data_keys (
      tenant_id TEXT PRIMARY KEY NOT NULL,
      key_id TEXT NOT NULL REFERENCES vault_master_keys (key_id),
      sealed BLOB NOT NULL
    ) STRICT, WITHOUT ROWID`
  yield* sql`CREATE INDEX vault_data_keys_by_key ON vault_data_keys (key_id, tenant_id)`
  yield* sql`
    CREATE TABLE secrets (
      tenant_id TEXT NOT NULL REFERENCES vault_data_keys (tenant_id),
      name TEXT NOT NULL,
      stored_at INTEGER NOT NULL,
      sealed BLOB NOT NULL,
      PRIMARY KEY (tenant_id, name)
    ) STRICT, WITHOUT ROWID`
})

/** Also makes the table anew where it was lost: checkpoints can be. */
export const createCheckpoints = Effect.gen(function* () {
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

const createStores = Effect.gen(function* () {
  const sql = yield* SqlClient
  // An id is never used again: what is left of a removed store cannot turn up in another one.
  yield* sql`
    CREATE TABLE stores (
      id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
      tenant_id TEXT NOT NULL,
      service_id TEXT NOT NULL,
      sequence INTEGER NOT NULL,
      keys INTEGER NOT NULL,
      bytes INTEGER NOT NULL,
      digest TEXT NOT NULL,
      UNIQUE (tenant_id, service_id)
    ) STRICT`
  // Keys are bytes, so that they are ordered as such and NUL is one of them.
  yield* sql`
    CREATE TABLE store_entries (
      store_id INTEGER NOT NULL,
      key BLOB NOT NULL,
      version INTEGER NOT NULL,
      format TEXT NOT NULL,
      value BLOB NOT NULL,
      checksum TEXT NOT NULL,
      PRIMARY KEY (store_id, key)
    ) STRICT`
  // Stores that were removed, until their entries are gone.
  yield* sql`CREATE TABLE store_removals (store_id INTEGER PRIMARY KEY NOT NULL) STRICT`
})

const createSchedules = Effect.gen(function* () {
  const sql = yield* SqlClient
  // One row per service and cron expression: up to where its due times had their turn.
  yield* sql`
    CREATE TABLE schedules (
      tenant_id TEXT NOT NULL,
      service_id TEXT NOT NULL,
      cron TEXT NOT NULL,
      reached INTEGER NOT NULL,
      run_at INTEGER,
      outcome TEXT,
      missed INTEGER NOT NULL,
      missed_from INTEGER,
      missed_until INTEGER,
      missed_why TEXT NOT NULL,
      PRIMARY KEY (tenant_id, service_id, cron)
    ) STRICT, WITHOUT ROWID`
})

const all = {
  "0001_create_log": createLog,
  "0002_create_tokens": createTokens,
  "0003_create_vault": createVault,
  "0004_create_checkpoints": createCheckpoints,
  "0005_create_stores": createStores,
  "0006_create_schedules": createSchedules,
}

/** All migrations. */
export const migrations = fromRecord(all)

/** The number of the last one. */
export const newestMigration = Object.keys(all).length
