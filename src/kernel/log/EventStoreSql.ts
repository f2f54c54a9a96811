/**
 * The event store on `effect/sql`: opens the log, checks its end, and joins writer, reader and
 * tail into the port `EventStore`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

import { maxEventId } from "../../domain/Event.ts"
import { genesis } from "../../domain/HashChain.ts"
import type { LogHead } from "./EventBatch.ts"
import { makeEventReader } from "./EventReader.ts"
import { EventStore } from "./EventStore.ts"
import { makeEventTail } from "./EventTail.ts"
import { makeEventWriter } from "./EventWriter.ts"
import { makeFailed } from "./Storage.ts"

/** Events `filter` answers at most. */
const maxPage = 1000

/** How often a flush asks again while the writer's queue is full. */
const flushRetry = Schedule.spaced("10 millis")

interface HeadRow {
  readonly id: number
  readonly hash: string
}

/**
 * Where the log ends. The head row and the newest event move together; if they differ, events were
 * taken from the end (promise 5) and the head is right, so that no id is ever given twice.
 */
const makeReadHead = Effect.map(SqlClient, (sql) =>
  Effect.gen(function* () {
    const [newest] = yield* sql<HeadRow>`
      SELECT id, hash FROM events WHERE id <= ${maxEventId} ORDER BY id DESC LIMIT 1`
    const [head] = yield* sql<HeadRow>`
      SELECT last_id AS id, last_hash AS hash FROM log_head
      WHERE singleton = 1 AND last_id <= ${maxEventId}`
    const last: LogHead = newest ?? { id: 0, hash: genesis }
    if (head === undefined) {
      yield* sql`DELETE FROM log_head`
      yield* sql`INSERT INTO log_head ${sql.insert({ singleton: 1, last_id: last.id, last_hash: last.hash })}`
      return last
    }
    if (head.id > last.id) {
      yield* Effect.logWarning("events are missing from the end of the log").pipe(
        Effect.annotateLogs({ firstMissing: last.id + 1, lastMissing: head.id }),
      )
      return head
    }
    return last
  }),
)

const make = Effect.gen(function* () {
  const failed = yield* makeFailed
  const readHead = yield* makeReadHead
  const head = yield* Effect.mapError(readHead, failed("open the log"))
  const tail = yield* makeEventTail(head.id)
  const reader = yield* makeEventReader(tail)
  const writer = yield* makeEventWriter(head, readHead, tail)

  return EventStore.of({
    emit: Effect.fn("EventStore.emit")(function* (draft) {
      const [event] = yield* writer.append([draft])
      return event!
    }),
    append: Effect.fn("EventStore.append")(function* (drafts, attachment) {
      const [first, ...rest] = yield* writer.append(drafts, attachment)
      return [first!, ...rest]
    }),
    stream: reader.stream,
    // Through the stream, so that unreadable rows do not make a page look like the last one.
    filter: Effect.fn("EventStore.filter")((filter = {}) =>
      Stream.runCollect(
        reader.stream({ ...filter, limit: Math.min(maxPage, filter.limit ?? maxPage) }),
      ),
    ),
    subscribe: reader.subscribe,
    lastId: Effect.sync(tail.lastId),
    flush: Effect.asVoid(writer.append([])).pipe(
      Effect.retry({ while: (error) => error._tag === "LogOverloaded", schedule: flushRetry }),
      Effect.catchTags({
        EventTooLarge: Effect.die,
        LogOverloaded: Effect.die,
        LogClosed: () => writer.drained,
      }),
    ),
    unreadable: reader.unreadable,
  })
})

/** The event store on whatever database is behind `SqlClient`. */
export const layerEventStore = Layer.effect(EventStore, make)
