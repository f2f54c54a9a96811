/**
 * The declaration of `/v1/verification`: what the last verification found, verifying now, and
 * repairing now.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { FixReport, VerificationReport } from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"

const Report = VerificationReport.annotate({ identifier: "VerificationReport" })

const full = Schema.optionalKey(
  Schema.Boolean.annotate({
    description:
      "`true` reads the log from its first event and examines the database file; otherwise only what is new is read.",
  }),
)

const problems = answers(
  "invalid-request",
  "storage-unavailable",
  "storage-full",
  "request-timed-out",
)

const report = HttpApiEndpoint.get("report", "/v1/verification", {
  success: Report,
  error: answers("verification-not-found", "request-timed-out"),
})
  .annotate(RequiredPermission, needs("root"))
  .annotate(OpenApi.Summary, "Show the last verification")
  .annotate(OpenApi.Description, "What the last verification of this kernel process found.")

const verify = HttpApiEndpoint.post("verify", "/v1/verification", {
  query: { full },
  success: Report,
  error: problems,
})
  .annotate(RequiredPermission, needs("root"))
  .annotate(OpenApi.Summary, "Verify now")
  .annotate(
    OpenApi.Description,
    "Compares what runs with what the log says, and the log, tokens and vault with themselves. What is found is in the report, with what to do about it. Nothing is repaired. A body is ignored.",
  )

const fix = HttpApiEndpoint.post("fix", "/v1/verification/fix", {
  query: {
    full,
    missingServices: Schema.optionalKey(
      Schema.Literals(["redeploy", "kill"]).annotate({
        description:
          "What to do about a deployed service that is not there: bring it back (the default), or mark it killed.",
      }),
    ),
  },
  success: FixReport.annotate({ identifier: "FixReport" }),
  error: problems,
})
  .annotate(RequiredPermission, needs("root"))
  .annotate(OpenApi.Summary, "Repair now")
  .annotate(
    OpenApi.Description,
    "Verifies, repairs what can be repaired without guessing, and verifies again. Every repair is an event; where there is nothing to repair nothing changes. A body is ignored.",
  )

/** The group `verification`. */
export class VerificationApi extends HttpApiGroup.make("verification")
  .add(report, verify, fix)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Verification")
  .annotate(OpenApi.Description, "Whether what is, is what the log says, and repairing it.") {}
