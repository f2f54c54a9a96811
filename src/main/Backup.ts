/**
 * `node dist/main.js backup <path>`: a verified copy of the database of a kernel, running or not.
 * The keys in the data directory are not part of it: a backup holds ciphertext and hashes only, and
 * the master key belongs somewhere else.
 */
import * as Effect from "effect/Effect"

import { backupDatabase } from "../../plugins/sqlite/Backup.ts"
import { BackupFailed } from "../kernel/log/Storage.ts"
import { checkDatabase } from "./DatabaseCheck.ts"

/** What to back up, and to where. */
export interface BackupOptions {
  /** The database file. */
  readonly database: string
  /** The new file to write; there must be none. */
  readonly path: string
  /** Keep the copy even if it is damaged: better than nothing, when nothing better is left. */
  readonly acceptDamage?: boolean
}

/**
 * Copies the database as it is at one moment, while a kernel may go on writing; checks structure
 * and hash chain of the copy; answers how many events are in it and what was wrong and accepted.
 */
export const backup = Effect.fn("Backup.backup")(function* (options: BackupOptions) {
  const { database, path, acceptDamage = false } = options
  let result = { events: 0, findings: [] as ReadonlyArray<string> }
  const context = yield* Effect.context<Effect.Services<ReturnType<typeof checkDatabase>>>()
  yield* backupDatabase(database, path, (copy) =>
    checkDatabase(copy).pipe(
      Effect.provideContext(context),
      Effect.flatMap((check) => {
        result = check
        if (check.findings.length === 0 || acceptDamage) return Effect.void
        const reason = `the database is damaged: ${check.findings.join("; ")}`
        return Effect.fail(new BackupFailed({ path, reason }))
      }),
    ),
  )
  return result
})
