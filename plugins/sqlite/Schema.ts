/**
 * Whether the tables in a database file are the kernel's: made by a Solo that is not newer than this
 * one, and all there. It owns when a start is refused for that; what is in the tables is the
 * kernel's business, and how they are made `Migrations`'.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"

import { DatabaseDamaged, restoreAdvice } from "./DatabaseDamaged.ts"
import { createCheckpoints, newestMigration } from "./Migrations.ts"

/** Where the migrator keeps which migrations have run. */
const ledger = "effect_sql_migrations"

/** Without one of these there is no log to recover from. */
const needed = ["events", "log_head"]

/** Without one of these, what is in it is lost, and everything else goes on. */
const wanted = [
  "artifacts",
  "tokens",
  "vault_master_keys",
  "vault_data_keys",
  "secrets",
  "stores",
  "store_entries",
  "store_removals",
  "schedules",
]

const readTables = Effect.gen(function* () {
  const sql = yield* SqlClient
  const rows = yield* sql<{ readonly name: string }>`
    SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'`
  return new Set(rows.map(({ name }) => name))
})

/**
 * Before anything is migrated: fails for a database that a newer Solo wrote, that is not Solo's, or
 * that has nothing in it although there was one (`existed`).
 */
export const checkOrigin = Effect.fnUntraced(function* (filename: string, existed: boolean) {
  const sql = yield* SqlClient
  const tables = yield* readTables
  const refuse = (damage: string, advice = restoreAdvice) =>
    Effect.fail(new DatabaseDamaged({ filename, damage, advice }))
  if (!tables.has(ledger)) {
    if (tables.size > 0) {
      const [some] = tables
      return yield* refuse(
        `is no database of Solo, or a damaged one: it has the table ${some}, but not ${ledger}`,
        `move it away if it is something else's; otherwise ${restoreAdvice}`,
      )
    }
    return existed ? yield* refuse("has nothing in it, but had before") : undefined
  }
  const [newest] = yield* sql<{ readonly id: number | null }>`
    SELECT max(migration_id) AS id FROM ${sql(ledger)}`
  const schema = newest?.id ?? 0
  if (schema <= newestMigration) return
  return yield* refuse(
    `was written by a newer Solo: its schema is number ${schema}, this one knows ${newestMigration}`,
    "start the newer one; to go back, restore a backup that this one made",
  )
})

/**
 * After that: fails where a table is missing that nothing works without, makes that of the
 * checkpoints anew, which are only a cache, and names any other one.
 */
export const checkTables = Effect.fnUntraced(function* (filename: string) {
  const tables = yield* readTables
  const missing = needed.find((table) => !tables.has(table))
  if (missing !== undefined) {
    const damage = `is damaged: its table ${missing} is missing`
    return yield* new DatabaseDamaged({ filename, damage, advice: restoreAdvice })
  }
  if (!tables.has("checkpoints")) {
    yield* Effect.logWarning(`${filename} had no table checkpoints: the whole log is read once`)
    yield* createCheckpoints
  }
  for (const table of wanted) {
    if (tables.has(table)) continue
    yield* Effect.logError(
      `${filename} is damaged: its table ${table} is missing, and with it all that was in it; ${restoreAdvice}`,
    )
  }
})
