/**
 * The declaration of the routes for whoever operates the kernel: replacing its keys, seeing what
 * isolates services, and its metrics.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"

const rotateRootToken = HttpApiEndpoint.post("rotateRootToken", "/v1/root-token/rotate", {
  success: Schema.Struct({
    token: Schema.String.annotate({
      description: "The new root token. It is also in `<data>/root-token`.",
    }),
  }).annotate({ identifier: "RootToken" }),
  error: answers("key-fixed", "storage-unavailable", "request-timed-out"),
})
  .annotate(RequiredPermission, needs("root"))
  .annotate(OpenApi.Summary, "Replace the root token")
  .annotate(
    OpenApi.Description,
    "Makes a new root token: written to its file before it is good, and good before it is answered. The one presented is not good any more. 409 when it was given as SOLO_ROOT_TOKEN: replace it there and restart. A body is ignored.",
  )

const rotateMasterKey = HttpApiEndpoint.post("rotateMasterKey", "/v1/master-key/rotate", {
  success: Schema.Struct({
    dataKeys: Schema.Int.annotate({ description: "How many data keys were wrapped anew." }),
  }).annotate({ identifier: "RotatedMasterKey" }),
  error: answers(
    "key-fixed",
    "secret-damaged",
    "log-overloaded",
    "storage-unavailable",
    "storage-full",
    "request-timed-out",
  ),
})
  .annotate(RequiredPermission, needs("root"))
  .annotate(OpenApi.Summary, "Replace the master key")
  .annotate(
    OpenApi.Description,
    "Makes a new master key and wraps every tenant's data key with it while everything goes on. What is cut short is finished by asking again, or at the next start. 409 when it was given as SOLO_MASTER_KEY: restart with the new key there and the old one in SOLO_MASTER_KEY_PREVIOUS. A body is ignored.",
  )

const runtime = HttpApiEndpoint.get("runtime", "/v1/runtime", {
  success: Schema.Struct({
    driver: Schema.String,
    isolation: Schema.String.annotate({
      description: "What separates services from the kernel and from each other, in one sentence.",
    }),
    walls: Schema.Array(
      Schema.Struct({
        name: Schema.String,
        stands: Schema.Boolean.annotate({
          description: "Whether it was found to hold when the driver started.",
        }),
        detail: Schema.String,
      }).annotate({ identifier: "Wall" }),
    ).annotate({ description: "The outermost first." }),
  }).annotate({ identifier: "Runtime" }),
})
  .annotate(RequiredPermission, needs("root"))
  .annotate(OpenApi.Summary, "Show what isolates services")
  .annotate(
    OpenApi.Description,
    "The runtime driver, and which of its walls stand on this machine.",
  )

const metrics = HttpApiEndpoint.get("metrics", "/metrics", {
  success: Schema.String.pipe(
    HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }),
  ),
  error: answers("invalid-request", "request-timed-out"),
})
  .annotate(RequiredPermission, needs("metrics", "own"))
  .annotate(OpenApi.Summary, "Metrics for Prometheus")
  .annotate(
    OpenApi.Description,
    "A tenant's token sees the figures of its own services, one that is bound to a service those of that one. The root token sees all of the kernel's metrics, and those of a tenant's services as well when X-Tenant-ID names one.",
  )

/** The group `operation`. */
export class OperationApi extends HttpApiGroup.make("operation")
  .add(rotateRootToken, rotateMasterKey, runtime, metrics)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Operation")
  .annotate(OpenApi.Description, "For whoever runs the kernel.") {}
