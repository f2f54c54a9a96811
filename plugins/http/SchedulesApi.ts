/**
 * The declaration of `/v1/services/{serviceId}/schedules`: the cron expressions of a service and how
 * they are doing.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import { ScheduleView, ServiceId } from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { pageOf } from "./Page.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"

const list = HttpApiEndpoint.get("list", "/v1/services/:serviceId/schedules", {
  params: {
    serviceId: ServiceId.annotate({ description: "The service's name within its tenant." }),
  },
  success: pageOf(ScheduleView.annotate({ identifier: "Schedule" })).annotate({
    identifier: "SchedulePage",
  }),
  error: answers("invalid-request", "tenant-required", "service-not-found", "request-timed-out"),
})
  .annotate(RequiredPermission, needs("read", "service"))
  .annotate(OpenApi.Summary, "Show a service's schedules")
  .annotate(
    OpenApi.Description,
    "The cron expressions of its spec: when `scheduled` is called next, when it was last, and how that went. Always one page. Due times that were missed are events of the type `schedule_missed`.",
  )

/** The group `schedules`. */
export class SchedulesApi extends HttpApiGroup.make("schedules")
  .add(list)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Schedules")
  .annotate(OpenApi.Description, "When services are called by the clock.") {}
