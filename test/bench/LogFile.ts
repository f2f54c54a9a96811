/**
 * Fills the log of a kernel that does not run with well-formed events, chained as the kernel chains
 * them, faster than a kernel would write them.
 */
import { DatabaseSync } from "node:sqlite"

import type { EventDraft } from "../../src/domain/Event.ts"
import { genesis } from "../../src/domain/HashChain.ts"
import { encodePayload, type EventRow, toRow } from "../../src/kernel/log/EventRow.ts"
import { sha256 } from "../kernel/Sha256.ts"

const columns =
  "id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash".split(", ")

/**
 * Appends events to the database `filename` until its log has at least `length` of them and the
 * last `turn` of drafts, which belong together, is complete.
 */
export const fillLog = (
  filename: string,
  length: number,
  draftOf: (index: number) => EventDraft,
  turn = 1,
): void => {
  const database = new DatabaseSync(filename)
  const insert = database.prepare(
    `INSERT INTO events (${columns.join(", ")}) VALUES (${columns.map((name) => `:${name}`).join(", ")})`,
  )
  const newest = database
    .prepare("SELECT id, hash, time FROM events ORDER BY id DESC LIMIT 1")
    .get()
  let last: Pick<EventRow, "id" | "hash"> = {
    id: Number(newest?.["id"] ?? 0),
    hash: String(newest?.["hash"] ?? genesis),
  }
  const time = String(newest?.["time"] ?? "2026-01-01T00:00:00.000Z")
  database.exec("BEGIN")
  for (let index = 0; last.id < length || index % turn !== 0; index++) {
    const event = draftOf(index)
    const row = toRow(sha256, last, time, event, encodePayload(event))
    insert.run({ ...row })
    last = row
  }
  database.prepare("INSERT OR REPLACE INTO log_head VALUES (1, ?, ?)").run(last.id, last.hash)
  database.exec("COMMIT")
  database.close()
}
