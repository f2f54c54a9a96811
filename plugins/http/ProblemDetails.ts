/**
 * The outermost middleware of every endpoint: whatever it fails with becomes problem details that
 * carry the request's id. It also notes the route for the log.
 */
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as Layer from "effect/Layer"

import { CurrentRequest } from "./CurrentRequest.ts"
import { respondToFailure } from "./Failures.ts"
import { answers } from "./Problem.ts"

/** @see the file's head */
export class ProblemDetails extends HttpApiMiddleware.Service<ProblemDetails>()(
  "solo/plugins/http/ProblemDetails",
  { error: answers("internal-error", "kernel-stopping") },
) {
  static readonly layer: Layer.Layer<ProblemDetails> = Layer.succeed(
    ProblemDetails,
    ProblemDetails.of((handled, { endpoint }) =>
      Effect.flatMap(CurrentRequest, (record) => {
        record.route = endpoint.path
        return Effect.catchCause(handled, respondToFailure)
      }),
    ),
  )
}
