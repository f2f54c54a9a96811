/**
 * Judges a database file that no kernel uses: its structure, and the log in it from the first event
 * to the last. What comes of the judgement is decided by whoever asks.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import { layerClient } from "../../plugins/sqlite/Client.ts"
import { checkIntegrity } from "../../plugins/sqlite/Integrity.ts"
import type { Digest } from "../kernel/log/Digest.ts"
import { auditLog, auditStart } from "../kernel/recovery/LogAudit.ts"

/** What a judgement lists at most. */
const maxFindings = 5

/** What is in a database file, and what is wrong with it. */
export interface DatabaseCheck {
  /** Events in it, by the last id. */
  readonly events: number
  /** What is wrong, one line each, at most a few. */
  readonly findings: ReadonlyArray<string>
}

const checkLog = Effect.gen(function* () {
  const sql = yield* SqlClient
  const [newest] = yield* sql<{ readonly id: number; readonly hash: string }>`
    SELECT id, hash FROM events ORDER BY id DESC LIMIT 1`
  const [head] = yield* sql<{ readonly id: number; readonly hash: string }>`
    SELECT last_id AS id, last_hash AS hash FROM log_head WHERE singleton = 1`
  const untilId = Math.max(newest?.id ?? 0, head?.id ?? 0)
  const { audit } = yield* auditLog({ from: auditStart, untilId })
  const findings = audit.inconsistencies
    .filter(({ severity }) => severity === "error")
    .map(({ detail }) => detail)
  return { events: untilId, findings: findings.slice(0, maxFindings) }
})

/**
 * Judges the database `filename`, which must be a copy: it is opened as the kernel would open it.
 * Damage is in the findings, never a failure.
 */
export const checkDatabase = (filename: string): Effect.Effect<DatabaseCheck, never, Digest> =>
  Effect.gen(function* () {
    const structure = yield* checkIntegrity(filename)
    if (structure.length > 0) return { events: 0, findings: structure.slice(0, maxFindings) }
    const client = yield* Layer.build(layerClient({ filename, busyTimeoutMs: 0 }))
    return yield* Effect.provideContext(checkLog, client)
  }).pipe(
    Effect.scoped,
    Effect.catch((error: SqlError) =>
      Effect.succeed({ events: 0, findings: [`it cannot be read: ${error.message}`] }),
    ),
  )
