/**
 * The declaration of the health routes, which need no token: they say nothing about tenants.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"

import { open, RequiredPermission } from "./Authorization.ts"
import { ProblemDetails } from "./ProblemDetails.ts"

const live = HttpApiEndpoint.get("live", "/health/live", {
  success: Schema.Struct({ status: Schema.Literal("live") }).annotate({ identifier: "Live" }),
})
  .annotate(RequiredPermission, open)
  .annotate(OpenApi.Summary, "Is the process alive")
  .annotate(OpenApi.Description, "200 for as long as the process can answer at all.")

/** What `/health/ready` answers while the kernel cannot be relied on, or no longer. */
const Unready = Schema.Union([
  Schema.Struct({
    status: Schema.Literal("recovering"),
    recovered: Schema.Int,
    failed: Schema.Int,
    total: Schema.Int,
  }),
  Schema.Struct({ status: Schema.Literal("stopping") }),
]).annotate({ identifier: "Unready" })

const ready = HttpApiEndpoint.get("ready", "/health/ready", {
  success: [
    Schema.Struct({ status: Schema.Literal("ready") }).annotate({ identifier: "Ready" }),
    Unready.pipe(HttpApiSchema.status(503)),
  ],
})
  .annotate(RequiredPermission, open)
  .annotate(OpenApi.Summary, "Can the kernel be relied on")
  .annotate(
    OpenApi.Description,
    "200 once recovery and verification are over. 503 with the progress before that, and with `stopping` during shutdown. The API takes deployments while it is recovering.",
  )

/** The group `health`. */
export class HealthApi extends HttpApiGroup.make("health")
  .add(live, ready)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Health")
  .annotate(OpenApi.Description, "For whoever watches over the process.") {}
