/**
 * The declaration of `/v1/services/{serviceId}/logs`: what a service prints, in pages or live.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { ServiceId } from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { pageOf, pageQuery } from "./Page.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"

/** One line of a service's log, as the API answers it. */
export const LogLine = Schema.Struct({
  time: Schema.String.annotate({ description: "ISO 8601 in UTC." }),
  level: Schema.Literals(["debug", "info", "warn", "error"]),
  message: Schema.String,
  fields: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.Unknown).annotate({
      description: "What the service said beside the message: the last argument of `ctx.log`.",
    }),
  ),
}).annotate({ identifier: "LogLine" })

/** Whether a time in ISO 8601 is one: of 30 February a parser of dates makes 2 March. */
const isMoment = (text: string): boolean => {
  const moment = Date.parse(text)
  return !Number.isNaN(moment) && new Date(moment).toISOString().startsWith(text.slice(0, 16))
}

const expected = "a time in ISO 8601 and UTC, such as 2026-01-31T12:00:00Z"

/** A moment in milliseconds since 1970, in ISO 8601 on the wire. */
const Since = Schema.String.annotate({
  description: "Only lines at or after this time, in ISO 8601 and UTC.",
})
  .check(
    Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?Z$/, { expected }),
    Schema.makeFilter(isMoment, { expected }),
  )
  .pipe(
    Schema.decodeTo(
      Schema.Finite,
      SchemaTransformation.transform({
        decode: Date.parse,
        encode: (moment) => new Date(moment).toISOString(),
      }),
    ),
  )

const read = HttpApiEndpoint.get("read", "/v1/services/:serviceId/logs", {
  params: {
    serviceId: ServiceId.annotate({ description: "The service's name within its tenant." }),
  },
  query: {
    since: Schema.optionalKey(Since),
    level: Schema.optionalKey(
      Schema.Literals(["debug", "info", "warn", "error"]).annotate({
        description: "Only lines of this level or worse.",
      }),
    ),
    ...pageQuery,
  },
  success: [
    pageOf(LogLine).annotate({ identifier: "LogPage" }),
    HttpApiSchema.StreamSse({ data: LogLine }),
  ],
  error: answers(
    "invalid-request",
    "tenant-required",
    "service-not-found",
    "too-many-streams",
    "request-timed-out",
  ),
})
  .annotate(RequiredPermission, needs("read", "service"))
  .annotate(OpenApi.Summary, "Read a service's log")
  .annotate(
    OpenApi.Description,
    "What the service printed, oldest first, as far back as the kernel keeps it: also before restarts of the service and of the kernel, and after it was killed. With `Accept: text/event-stream` the lines kept and then new ones as they come, as server-sent events named `log`; `Last-Event-ID` resumes. A stream ends when its token is revoked or expires.",
  )

/** The group `logs`. */
export class LogsApi extends HttpApiGroup.make("logs")
  .add(read)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Logs")
  .annotate(OpenApi.Description, "What services print.") {}
