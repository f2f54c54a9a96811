/**
 * What the routes of `EventsApi` do: read the log in pages, or follow it live from where a client
 * left off.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Event, type EventFilter, EventStore } from "solo"

import { Api } from "./Api.ts"
import { Caller } from "./Caller.ts"
import { EventView } from "./EventsApi.ts"
import { fromKernel, invalidRequest } from "./Failures.ts"
import { cursorAt, defaultLimit, malformedCursor, positionOf } from "./Page.ts"
import type { Problem } from "./Problem.ts"
import { EventStreams, wantsEventStream } from "./Sse.ts"

const view = (event: Event) => ({
  id: event.id,
  time: event.time,
  tenantId: event.tenantId,
  serviceId: event.serviceId,
  type: event.type,
  payload: event.payload as Schema.Json,
  actor: event.actor,
  causationId: event.causationId,
  hash: event.hash,
})

const encodeEvent = Schema.encodeSync(Schema.fromJsonString(EventView))

const eventId = (text: string): number | undefined =>
  /^\d{1,15}$/.test(text) ? Number(text) : undefined

/** The id to go on after: what the cursor says, or `Last-Event-ID` says, or the query. */
const startAfter = (
  sinceId: number | undefined,
  cursor: string | undefined,
  lastEventId: string | undefined,
): Effect.Effect<number | undefined, Problem> =>
  Effect.gen(function* () {
    const position = yield* positionOf("events", cursor)
    const fromCursor = position === undefined ? undefined : eventId(position)
    if (position !== undefined && fromCursor === undefined) {
      return yield* malformedCursor(["query", "cursor"])
    }
    if (lastEventId === undefined || lastEventId === "") return fromCursor ?? sinceId
    const resumed = eventId(lastEventId)
    return resumed === undefined
      ? yield* invalidRequest([
          { path: ["headers", "last-event-id"], message: "Expected the id of an event" },
        ])
      : resumed
  })

/** The handlers of the group `events`. */
export const EventsHandlers = HttpApiBuilder.group(
  Api,
  "events",
  Effect.fnUntraced(function* (handlers) {
    const eventStore = yield* EventStore
    const streams = yield* EventStreams

    const page = Effect.fnUntraced(function* (filter: EventFilter, limit: number) {
      const events = yield* eventStore.filter({ ...filter, limit })
      const last = events.at(-1)
      const more =
        last !== undefined &&
        events.length === limit &&
        (yield* eventStore.filter({ ...filter, sinceId: last.id, limit: 1 })).length > 0
      return { items: events.map(view), next: more ? cursorAt("events", String(last.id)) : null }
    })

    return handlers.handle(
      "list",
      Effect.fn("http.events.list")(function* ({ query, request }) {
        const caller = yield* Caller
        if (query.serviceId !== undefined) {
          yield* caller.require("read", { serviceId: query.serviceId })
        }
        const live = wantsEventStream(request)
        const filter: EventFilter = {
          tenantId: caller.tenantId ?? undefined,
          serviceId: query.serviceId ?? caller.serviceId ?? undefined,
          types: query.type,
          sinceId: yield* startAfter(
            query.sinceId,
            query.cursor,
            live ? request.headers["last-event-id"] : undefined,
          ),
        }
        if (!live) {
          return yield* Effect.mapError(page(filter, query.limit ?? defaultLimit), fromKernel)
        }
        return yield* streams.open(
          caller,
          Stream.map(eventStore.subscribe(filter), (event) => ({
            id: String(event.id),
            event: event.type,
            data: encodeEvent(view(event)),
          })),
        )
      }),
    )
  }),
)
