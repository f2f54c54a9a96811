/**
 * The declaration of `/v1/recovery`: what the last recovery did, and doing it again.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import { RecoveryReport } from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"

const Report = RecoveryReport.annotate({ identifier: "RecoveryReport" })

const report = HttpApiEndpoint.get("report", "/v1/recovery", {
  success: Report,
  error: answers("report-not-found", "request-timed-out"),
})
  .annotate(RequiredPermission, needs("root"))
  .annotate(OpenApi.Summary, "Show the last recovery")
  .annotate(
    OpenApi.Description,
    "What the last recovery of this kernel process brought back, skipped and could not start, service by service.",
  )

const replay = HttpApiEndpoint.post("replay", "/v1/recovery/replay", {
  success: Report,
  error: answers("request-timed-out"),
})
  .annotate(RequiredPermission, needs("root"))
  .annotate(OpenApi.Summary, "Recover again")
  .annotate(
    OpenApi.Description,
    "Starts whatever should run and does not, and answers with the report. Idempotent: what runs already is left alone. A body is ignored.",
  )

/** The group `recovery`. */
export class RecoveryApi extends HttpApiGroup.make("recovery")
  .add(report, replay)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Recovery")
  .annotate(OpenApi.Description, "How the kernel came back, and doing it once more.") {}
