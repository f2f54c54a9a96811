/**
 * The declaration of `/v1/events`: the log of everything that happened, in pages or live.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { eventTypes, ServiceId } from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { pageOf, pageQuery } from "./Page.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"

/** One event, as the API answers it. */
export const EventView = Schema.Struct({
  id: Schema.Int.annotate({ description: "Gapless over the whole log, from 1." }),
  time: Schema.String.annotate({ description: "ISO 8601 in UTC." }),
  tenantId: Schema.NullOr(Schema.String).annotate({ description: "null for the system's events." }),
  serviceId: Schema.NullOr(Schema.String),
  type: Schema.Literals(eventTypes),
  payload: Schema.Json.annotate({
    description: "What the event says; its shape goes with `type`.",
  }),
  actor: Schema.NullOr(Schema.String).annotate({
    description: "The token that caused it; null when the kernel did.",
  }),
  causationId: Schema.NullOr(Schema.Int).annotate({ description: "The event that caused it." }),
  hash: Schema.String.annotate({
    description: "SHA-256 over this event and the hash of the one before it, in hex.",
  }),
}).annotate({ identifier: "Event" })

const list = HttpApiEndpoint.get("list", "/v1/events", {
  query: {
    type: Schema.optionalKey(
      Schema.Array(Schema.Literals(eventTypes))
        .check(Schema.isMaxLength(eventTypes.length))
        .annotate({ description: "Only events of this type; repeat it for several." }),
    ),
    serviceId: Schema.optionalKey(
      ServiceId.annotate({ description: "Only events of this service." }),
    ),
    sinceId: Schema.optionalKey(
      Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)).annotate({
        description: "Only events after this id.",
      }),
    ),
    ...pageQuery,
  },
  success: [
    pageOf(EventView).annotate({ identifier: "EventPage" }),
    HttpApiSchema.StreamSse({ data: EventView }),
  ],
  error: answers(
    "invalid-request",
    "too-many-streams",
    "storage-unavailable",
    "storage-full",
    "request-timed-out",
  ),
})
  .annotate(RequiredPermission, needs("read", "own"))
  .annotate(OpenApi.Summary, "Read events, or follow them")
  .annotate(
    OpenApi.Description,
    "The events that match, in order of their ids. With `Accept: text/event-stream` those up to now and then every new one once it is durable, as server-sent events: `id` is the event's id, `event` its type, `data` the event as JSON. After a break `Last-Event-ID` resumes without gap or duplicate. A root token without X-Tenant-ID sees the whole log, the system's own events included; everybody else sees one tenant's, and with a token that is bound to a service that service's. A stream ends when its token is revoked or expires.",
  )

/** The group `events`. */
export class EventsApi extends HttpApiGroup.make("events")
  .add(list)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Events")
  .annotate(OpenApi.Description, "The append-only log of everything that happened.") {}
