/**
 * One transaction's worth of appends: their attachments, their rows, the new end of the log. It
 * writes inside a transaction that the writer opens, and decides which appends are refused alone.
 */
import * as DateTime from "effect/DateTime"
import type * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import type { Event, EventDraft } from "../../domain/Event.ts"
import { isConstraint } from "./Attachment.ts"
import { Digest } from "./Digest.ts"
import { type EventRow, toEvent, toRow } from "./EventRow.ts"
import { makeFailed, type Storage, type StorageError } from "./Storage.ts"

/** Rows one INSERT carries at most; a batch is split into powers of two, so few statements do. */
const maxInsert = 256

/** The end of the log: what the next event is chained to. */
export interface LogHead {
  readonly id: number
  readonly hash: string
}

/** Events on their way to the log, and the caller that waits for them. */
export interface Append {
  readonly drafts: ReadonlyArray<EventDraft>
  /** The payload of each draft, as it will be stored. */
  readonly payloads: ReadonlyArray<string>
  readonly attachment: Effect.Effect<void, SqlError> | undefined
  readonly answer: Deferred.Deferred<ReadonlyArray<Event>, StorageError>
}

/** What a transaction came to, to be believed once it is committed. */
export interface Batch {
  readonly head: LogHead
  readonly rows: ReadonlyArray<EventRow>
  readonly events: ReadonlyArray<Event>
  readonly answers: ReadonlyArray<readonly [Append, Exit.Exit<ReadonlyArray<Event>, StorageError>]>
}

/** What a failure of the database means for an append. */
const makeAppendFailed = Effect.map(makeFailed, (failed) => failed("append"))

// An attachment that breaks a constraint is its caller's mistake and costs only its own append.
// Any other failure is the database's: SQLite may have ended the transaction with it, so the whole
// batch must fail.
const attach = Effect.fnUntraced(function* (attachment: Effect.Effect<void, SqlError>) {
  const sql = yield* SqlClient
  const failed = yield* makeAppendFailed
  return yield* sql.withTransaction(attachment).pipe(
    Effect.as(Option.none<StorageError>()),
    Effect.catchIf(isConstraint, (error) => Effect.succeedSome(failed(error))),
  )
})

const insert = Effect.fnUntraced(function* (rows: ReadonlyArray<EventRow>, head: LogHead) {
  const sql = yield* SqlClient
  let from = 0
  while (from < rows.length) {
    const size = Math.min(maxInsert, 2 ** Math.floor(Math.log2(rows.length - from)))
    const chunk = rows.slice(from, from + size) as [EventRow, ...Array<EventRow>]
    yield* sql`INSERT INTO events ${sql.insert(chunk)}`
    from += size
  }
  yield* sql`UPDATE log_head SET last_id = ${head.id}, last_hash = ${head.hash} WHERE singleton = 1`
})

/** Writes `appends` behind `head`. Runs in the caller's transaction; nothing is durable yet. */
export const writeBatch = Effect.fnUntraced(function* (
  head: LogHead,
  appends: ReadonlyArray<Append>,
): Effect.fn.Return<Batch, SqlError, Digest | SqlClient | Storage> {
  const { sha256 } = yield* Digest
  const time = DateTime.formatIso(yield* DateTime.now)
  const rows: Array<EventRow> = []
  const events: Array<Event> = []
  const answers: Array<Batch["answers"][number]> = []
  let last = head
  for (const append of appends) {
    if (append.attachment !== undefined) {
      const refusal = yield* attach(append.attachment)
      if (Option.isSome(refusal)) {
        answers.push([append, Exit.fail(refusal.value)])
        continue
      }
    }
    const own = append.drafts.map((draft, index) => {
      const row = toRow(sha256, last, time, draft, append.payloads[index]!)
      last = row
      rows.push(row)
      return toEvent(draft, row)
    })
    events.push(...own)
    answers.push([append, Exit.succeed(own)])
  }
  const end = { id: last.id, hash: last.hash }
  if (rows.length > 0) yield* insert(rows, end)
  return { head: end, rows, events, answers }
})
