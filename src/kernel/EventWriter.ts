/**
 * The one writer of the log: it takes whatever waits, commits it as one transaction, answers each
 * caller after the commit, then lets the tail know (promises 1, 5 and 7). Nothing else in Solo
 * writes to `events`.
 */
import type * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import type { Event, EventDraft } from "../domain/Event.ts"
import { isConstraint } from "./Attachment.ts"
import { Digest } from "./Digest.ts"
import { encodePayload, type EventRow, toEvent, toRow } from "./EventRow.ts"
import { type AppendError, EventTooLarge, LogClosed, LogOverloaded } from "./EventStore.ts"
import type { EventTail } from "./EventTail.ts"
import { Storage, StorageError } from "./Storage.ts"

/** Appends that may wait at once. */
export const maxWaiting = 8192

/** Appends that share one transaction at most. */
const maxBatch = 1024

/** Rows one INSERT carries at most; a batch is split into powers of two, so few statements do. */
const maxInsert = 256

/** Largest payload, in UTF-16 code units of its JSON text. */
export const maxPayload = 1024 * 1024

/** The end of the log: what the next event is chained to. */
export interface LogHead {
  readonly id: number
  readonly hash: string
}

interface Append {
  readonly drafts: ReadonlyArray<EventDraft>
  readonly payloads: ReadonlyArray<string>
  readonly attachment: Effect.Effect<void, SqlError> | undefined
  readonly answer: Deferred.Deferred<ReadonlyArray<Event>, StorageError>
}

interface Batch {
  readonly head: LogHead
  readonly rows: ReadonlyArray<EventRow>
  readonly events: ReadonlyArray<Event>
  readonly answers: ReadonlyArray<readonly [Append, Exit.Exit<ReadonlyArray<Event>, StorageError>]>
}

/** Accepts appends. */
export interface EventWriter {
  readonly append: (
    drafts: ReadonlyArray<EventDraft>,
    attachment?: Effect.Effect<void, SqlError>,
  ) => Effect.Effect<ReadonlyArray<Event>, AppendError>
}

/**
 * Starts the writer behind `head`. When the scope closes it takes no more, commits what waits, and
 * ends.
 */
export const makeEventWriter = Effect.fnUntraced(function* (
  start: LogHead,
  readHead: Effect.Effect<LogHead, SqlError>,
  tail: EventTail,
): Effect.fn.Return<EventWriter, never, Digest | SqlClient | Storage | Scope.Scope> {
  const sql = yield* SqlClient
  const storage = yield* Storage
  const { sha256 } = yield* Digest
  const queue = yield* Queue.dropping<Append, Cause.Done>(maxWaiting)
  let head = start
  let headIsCertain = true

  const toStorageError = (error: SqlError) =>
    new StorageError({ fault: storage.classify(error), operation: "append", cause: error })

  // An attachment that breaks a constraint is its caller's mistake and costs only its own append.
  // Any other failure is the database's: SQLite may have ended the transaction with it, so the
  // whole batch must fail.
  const attach = (attachment: Effect.Effect<void, SqlError>) =>
    sql.withTransaction(attachment).pipe(
      Effect.as(Option.none<StorageError>()),
      Effect.catchIf(isConstraint, (error) => Effect.succeedSome(toStorageError(error))),
    )

  const insert = Effect.fnUntraced(function* (rows: ReadonlyArray<EventRow>) {
    let from = 0
    while (from < rows.length) {
      const size = Math.min(maxInsert, 2 ** Math.floor(Math.log2(rows.length - from)))
      const chunk = rows.slice(from, from + size) as [EventRow, ...Array<EventRow>]
      yield* sql`INSERT INTO events ${sql.insert(chunk)}`
      from += size
    }
  })

  const write = Effect.fnUntraced(function* (appends: ReadonlyArray<Append>) {
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
    if (rows.length > 0) {
      yield* insert(rows)
      yield* sql`UPDATE log_head SET last_id = ${last.id}, last_hash = ${last.hash} WHERE singleton = 1`
    }
    return { head: { id: last.id, hash: last.hash }, rows, events, answers } satisfies Batch
  })

  const commit = Effect.fnUntraced(function* (appends: ReadonlyArray<Append>) {
    // After a failed commit only the database knows where the log ends.
    if (!headIsCertain) {
      head = yield* readHead
      headIsCertain = true
    }
    headIsCertain = false
    const batch = yield* sql.withTransaction(write(appends))
    headIsCertain = true
    head = batch.head
    return batch
  })

  const process = (appends: ReadonlyArray<Append>) =>
    Effect.matchCauseEffect(commit(appends), {
      onSuccess: (batch) =>
        Effect.andThen(
          Effect.forEach(batch.answers, ([append, exit]) => Deferred.done(append.answer, exit), {
            discard: true,
          }),
          tail.push(
            batch.events,
            batch.rows.map((row) => row.payload.length),
          ),
        ),
      onFailure: (cause) =>
        Effect.forEach(appends, (append) => Deferred.fail(append.answer, refused(cause)), {
          discard: true,
        }),
    })

  const refused = (cause: Cause.Cause<SqlError>) => {
    const failure = cause.reasons.find((reason) => reason._tag === "Fail")
    return failure === undefined
      ? new StorageError({ fault: "unknown", operation: "append", cause })
      : toStorageError(failure.error)
  }

  const writer = yield* Effect.forkScoped(
    Queue.takeBetween(queue, 1, maxBatch).pipe(
      Effect.flatMap((appends) => Effect.uninterruptible(process(appends))),
      Effect.forever({ disableYield: true }),
      Effect.ignore,
    ),
    { startImmediately: true },
  )
  // Registered after the fiber, so it runs first: the fiber ends by itself once the queue is empty.
  yield* Effect.addFinalizer(() => Effect.andThen(Queue.end(queue), Fiber.await(writer)))

  return {
    append: Effect.fn("EventWriter.append")(function* (drafts, attachment) {
      const payloads = drafts.map(encodePayload)
      for (const [index, payload] of payloads.entries()) {
        if (payload.length > maxPayload) {
          const { type } = drafts[index]!
          return yield* new EventTooLarge({ type, bytes: payload.length, maximum: maxPayload })
        }
      }
      const answer = Deferred.makeUnsafe<ReadonlyArray<Event>, StorageError>()
      if (!Queue.offerUnsafe(queue, { drafts, payloads, attachment, answer })) {
        return yield* queue.state._tag === "Open"
          ? new LogOverloaded({ waiting: Queue.sizeUnsafe(queue) })
          : new LogClosed({})
      }
      return yield* Deferred.await(answer)
    }),
  }
})
