/**
 * What the route of `LogsApi` does: read a service's log in pages, or follow it from where a
 * client left off. Lines have no ids, so a position is a time and how many lines of it are read.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type ServiceLogLine, ServiceLogs } from "solo"

import { Api } from "./Api.ts"
import { Caller, callingTenant } from "./Caller.ts"
import { fromKernel } from "./Failures.ts"
import { LogLine } from "./LogsApi.ts"
import { cursorAt, defaultLimit, malformedCursor, positionOf } from "./Page.ts"
import type { Problem } from "./Problem.ts"
import { EventStreams, wantsEventStream } from "./Sse.ts"

/** Where a reader of a log stands: so many lines of `time` are read. */
interface LogPosition {
  readonly time: string
  readonly read: number
}

const start: LogPosition = { time: "", read: 0 }

/** The position after each line, the lines before `from` left out. */
const positionsFrom = (from: LogPosition) => {
  let at: LogPosition = { time: from.time, read: 0 }
  return (line: ServiceLogLine): LogPosition | undefined => {
    at = { time: line.time, read: line.time === at.time ? at.read + 1 : 1 }
    return line.time < from.time || (line.time === from.time && at.read <= from.read)
      ? undefined
      : at
  }
}

const logCursor = ({ read, time }: LogPosition): string => cursorAt("log", `${read}@${time}`)

const logPosition = (
  cursor: string | undefined,
  path: ReadonlyArray<string>,
): Effect.Effect<LogPosition, Problem> =>
  Effect.flatMap(positionOf("log", cursor, path), (text) => {
    if (text === undefined) return Effect.succeed(start)
    const parts = /^(\d{1,9})@(\d{4}-\d\d-\d\dT[\d:.]+Z)$/.exec(text)
    return parts === null
      ? Effect.fail(malformedCursor(path))
      : Effect.succeed({ read: Number(parts[1]), time: parts[2]! })
  })

const later = (left: string, right: string): string => (left > right ? left : right)

const encodeLine = Schema.encodeSync(Schema.fromJsonString(LogLine))

/** The handlers of the group `logs`. */
export const LogsHandlers = HttpApiBuilder.group(
  Api,
  "logs",
  Effect.fnUntraced(function* (handlers) {
    const serviceLogs = yield* ServiceLogs
    const streams = yield* EventStreams

    return handlers.handle(
      "read",
      Effect.fn("http.logs.read")(function* ({ params, query, request }) {
        const { tenantId } = yield* callingTenant
        const name = { tenantId, serviceId: params.serviceId }
        const live = wantsEventStream(request)
        const resumed = live ? request.headers["last-event-id"] : undefined
        const from =
          resumed === undefined
            ? yield* logPosition(query.cursor, ["query", "cursor"])
            : yield* logPosition(resumed, ["headers", "last-event-id"])
        const since = later(query.since ?? "", from.time)
        const filter = { since: since === "" ? undefined : since, level: query.level }
        const kept = yield* Effect.mapError(serviceLogs.read(name, filter), fromKernel)
        const positions = positionsFrom(from)
        if (live) {
          return yield* streams.open(
            yield* Caller,
            serviceLogs.follow(name, filter).pipe(
              Stream.map((line) => ({ line, at: positions(line) })),
              Stream.filter(({ at }) => at !== undefined),
              Stream.map(({ at, line }) => ({
                id: logCursor(at!),
                event: "log",
                data: encodeLine(line),
              })),
            ),
          )
        }
        const limit = query.limit ?? defaultLimit
        const unread = kept
          .map((line) => ({ line, at: positions(line) }))
          .filter(({ at }) => at !== undefined)
        const page = unread.slice(0, limit)
        return {
          items: page.map(({ line }) => line),
          next: unread.length > limit ? logCursor(page.at(-1)!.at!) : null,
        }
      }),
    )
  }),
)
