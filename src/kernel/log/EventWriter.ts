/**
 * The one writer of the log: it takes whatever waits, commits it as one transaction, tells the tail,
 * and answers each caller (promises 1, 5 and 7). Nothing else in Solo writes to `events`.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import type { Event, EventDraft, EventType } from "../../domain/Event.ts"
import { commit, storageErrorOf } from "./Commit.ts"
import type { Digest } from "./Digest.ts"
import { type Append, type Batch, type LogHead, writeBatch } from "./EventBatch.ts"
import { encodePayload } from "./EventRow.ts"
import { type AppendError, EventTooLarge, LogClosed, LogOverloaded } from "./EventStore.ts"
import type { EventTail } from "./EventTail.ts"
import type { Storage, StorageError } from "./Storage.ts"

/** Appends that may wait at once. */
const maxWaiting = 8192

/** Appends that share one transaction at most. */
const maxBatch = 1024

/** Largest payload, in bytes of its JSON text in UTF-8. */
const maxPayload = 1024 * 1024

/** What one UTF-16 code unit takes in UTF-8 at most. */
const maxBytesPerUnit = 3

/** The type of the last event of a clean run. */
const lastWord: EventType = "system_shutdown_complete"

/** Accepts appends. */
export interface EventWriter {
  readonly append: (
    drafts: ReadonlyArray<EventDraft>,
    attachment?: Effect.Effect<void, SqlError>,
  ) => Effect.Effect<ReadonlyArray<Event>, AppendError>
  /** Returns when the log is closed and everything it has accepted is durable or refused. */
  readonly drained: Effect.Effect<void>
}

/** Commits batches, each behind the one before it. */
const makeCommit = Effect.fnUntraced(function* (
  start: LogHead,
  readHead: Effect.Effect<LogHead, SqlError>,
  tail: EventTail,
) {
  let head = start
  let certain = true
  return Effect.fnUntraced(function* (appends: ReadonlyArray<Append>) {
    // After a failed commit only the database knows where the log ends.
    if (!certain) {
      head = yield* readHead
      if (head.id > tail.lastId()) yield* tail.skipTo(head.id)
    }
    certain = false
    const batch = yield* commit(writeBatch(head, appends), (batch) =>
      Effect.map(readHead, ({ hash }) => batch.rows.length > 0 && hash === batch.head.hash),
    )
    certain = true
    head = batch.head
    return batch
  })
})

/**
 * Publishes a batch and answers everybody who took part in it. In this order: who is answered must
 * find its own events when it reads the log.
 */
const settle = Effect.fnUntraced(function* (tail: EventTail, batch: Batch) {
  const sizes = batch.rows.map((row) => row.payload.length)
  if (batch.events.length > 0) yield* tail.push(batch.events, sizes)
  for (const [append, exit] of batch.answers) Deferred.doneUnsafe(append.answer, exit)
})

const refuse = Effect.fnUntraced(function* (
  appends: ReadonlyArray<Append>,
  cause: Cause.Cause<SqlError>,
) {
  const error = yield* storageErrorOf("append", cause)
  for (const append of appends) yield* Deferred.fail(append.answer, error)
  yield* Effect.logError("the log could not be appended to").pipe(
    Effect.annotateLogs({ reason: error.message }),
  )
})

/** How long a text is in UTF-8. Short ones, which fit whatever they hold, are not looked at. */
const bytesOf = (text: string): number =>
  text.length * maxBytesPerUnit <= maxPayload ? text.length : new TextEncoder().encode(text).length

const encodeAll = Effect.fnUntraced(function* (drafts: ReadonlyArray<EventDraft>) {
  const payloads = drafts.map(encodePayload)
  for (const [index, payload] of payloads.entries()) {
    const bytes = bytesOf(payload)
    if (bytes > maxPayload) {
      const { type } = drafts[index]!
      return yield* new EventTooLarge({ type, bytes, maximum: maxPayload })
    }
  }
  return payloads
})

/**
 * Starts the writer behind `head`. When the scope closes it takes no more, commits what waits, and
 * ends.
 */
export const makeEventWriter = Effect.fnUntraced(function* (
  head: LogHead,
  readHead: Effect.Effect<LogHead, SqlError>,
  tail: EventTail,
): Effect.fn.Return<EventWriter, never, Digest | SqlClient | Storage | Scope.Scope> {
  const queue = yield* Queue.dropping<Append, Cause.Done>(maxWaiting)
  const commitAll = yield* makeCommit(head, readHead, tail)

  const process = (appends: ReadonlyArray<Append>) =>
    Effect.matchCauseEffect(commitAll(appends), {
      onSuccess: (batch) => settle(tail, batch),
      onFailure: (cause) => refuse(appends, cause),
    }).pipe(
      // Whatever breaks here must not end the writer, nor leave a caller without an answer.
      Effect.catchCause((cause) =>
        Effect.andThen(
          Effect.sync(() => {
            for (const append of appends) Deferred.doneUnsafe(append.answer, Exit.failCause(cause))
          }),
          Effect.logError("the writer of the log broke", cause),
        ),
      ),
    )

  const writer = yield* Queue.takeBetween(queue, 1, maxBatch).pipe(
    Effect.flatMap((appends) => Effect.uninterruptible(process(appends))),
    Effect.forever({ disableYield: true }),
    Effect.ignore,
    Effect.forkScoped({ startImmediately: true }),
  )
  // Registered after the fiber, so it runs first: the fiber ends by itself once the queue is empty.
  yield* Effect.addFinalizer(() => Effect.andThen(Queue.end(queue), Fiber.await(writer)))

  return {
    append: Effect.fnUntraced(function* (drafts, attachment) {
      const payloads = yield* encodeAll(drafts)
      const answer = Deferred.makeUnsafe<ReadonlyArray<Event>, StorageError>()
      if (!Queue.offerUnsafe(queue, { drafts, payloads, attachment, answer })) {
        return yield* queue.state._tag === "Open"
          ? new LogOverloaded({ waiting: Queue.sizeUnsafe(queue) })
          : new LogClosed({})
      }
      // Nothing may follow the last word of a run, whoever still tries (promise 9).
      // In the step that offers it: at any later one another append may be behind it.
      if (drafts.some((draft) => draft.type === lastWord)) Queue.endUnsafe(queue)
      return yield* Deferred.await(answer)
    }),
    drained: Effect.asVoid(Fiber.await(writer)),
  }
})
