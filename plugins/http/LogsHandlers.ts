/**
 * What the route of `LogsApi` does: read a service's log in pages, or follow it from where a
 * client left off: a position is the id of the last line that was read.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type KeptLine, ServiceLogs } from "solo"

import { Api } from "./Api.ts"
import { Caller, callingTenant } from "./Caller.ts"
import { fromKernel } from "./Failures.ts"
import { LogLine } from "./LogsApi.ts"
import { cursorAt, defaultLimit, malformedCursor, positionOf } from "./Page.ts"
import type { Problem } from "./Problem.ts"
import { EventStreams, wantsEventStream } from "./Sse.ts"

const logCursor = ({ id }: KeptLine): string => cursorAt("log", String(id))

/** The id of the line that was read last. */
const logPosition = (
  cursor: string | undefined,
  path: ReadonlyArray<string>,
): Effect.Effect<number | undefined, Problem> =>
  Effect.flatMap(positionOf("log", cursor, path), (text) => {
    if (text === undefined) return Effect.undefined
    return /^\d{1,16}$/.test(text)
      ? Effect.succeed(Number(text))
      : Effect.fail(malformedCursor(path))
  })

const encodeLine = Schema.encodeSync(Schema.fromJsonString(LogLine))

const shown = ({ fields, level, message, time }: KeptLine) => ({
  time,
  level,
  message,
  ...(fields === undefined ? {} : { fields }),
})

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
        const after =
          resumed === undefined
            ? yield* logPosition(query.cursor, ["query", "cursor"])
            : yield* logPosition(resumed, ["headers", "last-event-id"])
        const filter = { since: query.since, level: query.level, after }
        const limit = query.limit ?? defaultLimit
        const lines = yield* Effect.mapError(
          serviceLogs.read(name, { ...filter, limit: live ? 1 : limit + 1 }),
          fromKernel,
        )
        if (live) {
          return yield* streams.open(
            yield* Caller,
            serviceLogs.follow(name, filter).pipe(
              Stream.map((line) => ({
                id: logCursor(line),
                event: "log",
                data: encodeLine(shown(line)),
              })),
            ),
          )
        }
        const page = lines.slice(0, limit)
        return {
          items: page.map(shown),
          next: lines.length > limit ? logCursor(page.at(-1)!) : null,
        }
      }),
    )
  }),
)
