/**
 * The declaration of the routes under `/v1/services`: deploying, listing, showing,
 * swapping and killing services.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import {
  defaultRollbackWindowMs,
  maxRollbackWindowMs,
  ServiceId,
  ServiceSpec,
  ServiceStatus,
  ServiceView,
} from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { pageOf, pageQuery } from "./Page.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"
import { RequestBody } from "./RequestBody.ts"

const View = ServiceView.annotate({ identifier: "Service" })

const serviceId = {
  serviceId: ServiceId.annotate({ description: "The service's name within its tenant." }),
}

const writeProblems = [
  "log-overloaded",
  "storage-unavailable",
  "storage-full",
  "request-timed-out",
] as const

const grants =
  "A spec that names `secrets` also needs the permission secrets, one that names `services` the permission invoke on each of them (in the whole tenant for `*`)"

const deploy = HttpApiEndpoint.post("deploy", "/v1/services", {
  payload: ServiceSpec.annotate({ identifier: "ServiceSpec" }),
  success: [View.pipe(HttpApiSchema.status(201)), View],
  error: answers(
    "invalid-request",
    "tenant-required",
    "service-conflict",
    "source-too-large",
    "event-too-large",
    "source-invalid",
    "start-failed",
    "start-timed-out",
    "deployment-ended",
    "too-many-services",
    ...writeProblems,
  ),
})
  .middleware(RequestBody)
  .annotate(RequiredPermission, needs("deploy", "own"))
  .annotate(OpenApi.Summary, "Deploy a service")
  .annotate(
    OpenApi.Description,
    `Compiles the source, starts the service under supervision and records it. 201 means that it runs and that the deployment survives a crash; 200 that the identical spec ran already. Unknown fields are refused. A service that failed or stopped is replaced. One that is only starting is replaced as well, by another spec, and its own deployment ended; the identical spec waits for it. ${grants}; a token that is bound to a service deploys that service only.`,
  )

const list = HttpApiEndpoint.get("list", "/v1/services", {
  query: {
    status: Schema.optionalKey(
      ServiceStatus.annotate({ description: "Only services in this status." }),
    ),
    ...pageQuery,
  },
  success: pageOf(View).annotate({ identifier: "ServicePage" }),
  error: answers("invalid-request", "tenant-required", "request-timed-out"),
})
  .annotate(RequiredPermission, needs("read", "own"))
  .annotate(OpenApi.Summary, "List services")
  .annotate(
    OpenApi.Description,
    "The tenant's services in order of their ids, in pages. A token that is bound to a service sees that one.",
  )

const get = HttpApiEndpoint.get("get", "/v1/services/:serviceId", {
  params: serviceId,
  success: View,
  error: answers("invalid-request", "tenant-required", "service-not-found", "request-timed-out"),
})
  .annotate(RequiredPermission, needs("read", "service"))
  .annotate(OpenApi.Summary, "Show a service")
  .annotate(OpenApi.Description, "Its status and figures as supervision itself sees them.")

const kill = HttpApiEndpoint.delete("kill", "/v1/services/:serviceId", {
  params: serviceId,
  query: {
    force: Schema.optionalKey(
      Schema.Boolean.annotate({
        description: "`true` ends the service at once instead of waiting for its `stop`.",
      }),
    ),
  },
  success: View,
  error: answers("invalid-request", "tenant-required", "service-not-found", ...writeProblems),
})
  .annotate(RequiredPermission, needs("kill", "service"))
  .annotate(OpenApi.Summary, "Kill a service")
  .annotate(
    OpenApi.Description,
    "Answers when the service is dead and the kill is durable: it does not come back after a crash or a restart. A swap or a deployment that is under way is ended; a service that was never deployed before it is not found.",
  )

const window = {
  rollbackWindowMs: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: maxRollbackWindowMs })).annotate({
      description: `How long the new revision is watched before it is committed, in milliseconds, 0 to ${maxRollbackWindowMs}; ${defaultRollbackWindowMs} unless given.`,
    }),
  ),
}

const swapProblems = [
  "invalid-request",
  "tenant-required",
  "service-not-found",
  "swap-in-progress",
  "swap-failed",
  "swap-rolled-back",
  "event-too-large",
  "source-invalid",
  "start-failed",
  "start-timed-out",
  "too-many-services",
  "too-many-swaps",
  ...writeProblems,
] as const

const swap = HttpApiEndpoint.put("swap", "/v1/services/:serviceId", {
  params: serviceId,
  query: window,
  payload: Schema.Struct({
    ...ServiceSpec.fields,
    serviceId: Schema.optionalKey(
      ServiceId.annotate({ description: "May be left out; else it is the one in the path." }),
    ),
  }).annotate({ identifier: "NextServiceSpec" }),
  success: View,
  error: answers("source-too-large", ...swapProblems),
})
  .middleware(RequestBody)
  .annotate(RequiredPermission, needs("deploy", "service"))
  .annotate(OpenApi.Summary, "Swap a service for a new revision")
  .annotate(
    OpenApi.Description,
    `Starts the new revision beside the old one, asks its \`healthPath\`, and hands over without dropping a request: each is answered wholly by one of them. 200 means that the new revision lived through the rollback window, and is what a restart brings back. On any other answer the old one goes on. The identical spec changes nothing. ${grants}.`,
  )

const rollback = HttpApiEndpoint.post("rollback", "/v1/services/:serviceId/rollback", {
  params: serviceId,
  query: window,
  success: View,
  error: answers("no-previous-revision", "artifact-damaged", ...swapProblems),
})
  .annotate(RequiredPermission, needs("deploy", "service"))
  .annotate(OpenApi.Summary, "Roll a service back")
  .annotate(
    OpenApi.Description,
    "Swaps back to the revision that ran before this one, under its old number; once more swaps forth again. While a swap or a deployment is under way, ends it instead. Whatever that revision's spec names, this needs the permission deploy only.",
  )

/** The group `services`. */
export class ServicesApi extends HttpApiGroup.make("services")
  .add(deploy, list, get, swap, rollback, kill)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Services")
  .annotate(OpenApi.Description, "Deploy, look at, swap and kill a tenant's services.") {}
