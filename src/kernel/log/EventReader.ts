/**
 * Reads the log: pages by filter, and the endless stream that catches up and then follows. A row
 * that cannot be read costs itself only: it is skipped, named once in the kernel's log, counted.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import * as Stream from "effect/Stream"

import type { Event } from "../../domain/Event.ts"
import { fromRow } from "./EventRow.ts"
import type { EventFilter } from "./EventStore.ts"
import type { EventTail } from "./EventTail.ts"
import { makeFailed, type StorageError } from "./Storage.ts"

/** Rows read at once. */
const pageSize = 512

/** Ids of unreadable rows remembered, so that each is named and counted once. */
const maxRemembered = 10_000

/** A filter whose end is fixed. */
interface Bounded extends EventFilter {
  readonly untilId: number
}

interface Page {
  readonly events: ReadonlyArray<Event>
  /** Id of the last row looked at, readable or not; `undefined` when nothing more matches. */
  readonly next: number | undefined
}

const matches = (filter: EventFilter) => {
  const types = filter.types === undefined ? undefined : new Set<string>(filter.types)
  return (event: Event): boolean =>
    (filter.tenantId === undefined || event.tenantId === filter.tenantId) &&
    (filter.serviceId === undefined || event.serviceId === filter.serviceId) &&
    (types === undefined || types.has(event.type)) &&
    (filter.untilId === undefined || event.id <= filter.untilId)
}

/** Reads pages; rows that cannot be read are skipped, and their ids go into `unreadable`. */
const makeReadPage = Effect.fnUntraced(function* (unreadable: Set<number>) {
  const sql = yield* SqlClient
  const failed = yield* makeFailed

  const skip = (id: number, reason: string) =>
    Effect.suspend(() => {
      if (unreadable.has(id) || unreadable.size >= maxRemembered) return Effect.void
      unreadable.add(id)
      return Effect.logWarning("skipped an unreadable event").pipe(
        Effect.annotateLogs({ eventId: id, reason }),
      )
    })

  return Effect.fnUntraced(
    function* (filter: Bounded, after: number, size: number) {
      const conditions = [
        sql`id > ${after}`,
        sql`id <= ${filter.untilId}`,
        ...(filter.tenantId === undefined ? [] : [sql`tenant_id = ${filter.tenantId}`]),
        ...(filter.serviceId === undefined ? [] : [sql`service_id = ${filter.serviceId}`]),
      ]
      const select = (type: ReadonlyArray<Fragment>) =>
        sql`SELECT * FROM events WHERE ${sql.and([...conditions, ...type])} ORDER BY id LIMIT ${size}`
      // One search per type: asked for several types at once, SQLite sorts all that match for
      // every single page, and folding a log would take the square of its length.
      const searches = (filter.types ?? []).map(
        (type) => sql`SELECT * FROM (${select([sql`type = ${type}`])})`,
      )
      const rows = yield* sql<{ readonly id: number }>`${
        searches.length === 0
          ? select(filter.types === undefined ? [] : [sql`1 = 0`])
          : sql`${sql.join(" UNION ALL ", false)(searches)} ORDER BY id LIMIT ${size}`
      }`
      const events: Array<Event> = []
      for (const row of rows) {
        const event = fromRow(row)
        if (Result.isSuccess(event)) events.push(event.success)
        else yield* skip(row.id, event.failure)
      }
      return { events, next: rows.length < size ? undefined : rows.at(-1)!.id } satisfies Page
    },
    Effect.mapError(failed("read events")),
  )
})

/** Makes the reading half of the store. */
export const makeEventReader = Effect.fnUntraced(function* (tail: EventTail) {
  const unreadable = new Set<number>()
  const page = yield* makeReadPage(unreadable)

  // The end is fixed when reading begins: whoever appends meanwhile cannot make it endless.
  const bounded = (filter: EventFilter): Bounded => ({
    ...filter,
    untilId: Math.min(filter.untilId ?? Infinity, tail.lastId()),
  })

  const stream = (filter: EventFilter = {}): Stream.Stream<Event, StorageError> =>
    Stream.suspend(() => {
      const { limit = Infinity } = filter
      const fixed = bounded(filter)
      const pages = Stream.paginate(filter.sinceId ?? 0, (after) =>
        Effect.map(
          page(fixed, after, Math.min(pageSize, limit)),
          ({ events, next }) => [events, Option.fromNullishOr(next)] as const,
        ),
      )
      return Stream.take(pages, limit)
    })

  // From memory when the tail still has it, from the database when the subscriber is further back.
  const following = Effect.fnUntraced(function* (filter: EventFilter, after: number) {
    const newest = tail.lastId()
    const kept = tail.after(after)
    if (kept !== undefined) return [kept.filter(matches(filter)), newest] as const
    const { events, next } = yield* page(bounded(filter), after, pageSize)
    return [events, next ?? newest] as const
  })

  const subscribe = (filter: EventFilter = {}): Stream.Stream<Event, StorageError> =>
    Stream.unwrap(
      Effect.map(PubSub.subscribe(tail.bell), (bell) =>
        Stream.paginate(filter.sinceId ?? 0, (after) =>
          Effect.gen(function* () {
            while (tail.lastId() <= after) yield* PubSub.take(bell)
            const [events, reached] = yield* following(filter, after)
            return [events, Option.some(reached)] as const
          }),
        ),
      ),
    )

  return {
    stream,
    subscribe,
    unreadable: Effect.sync(() => unreadable.size),
  }
})
