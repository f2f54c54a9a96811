/**
 * The outermost middleware of every endpoint: whatever it fails with becomes problem details that
 * carry the request's id. It also notes the route for the log.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as Layer from "effect/Layer"

import { CurrentRequest } from "./CurrentRequest.ts"
import { respondToFailure, withoutEcho } from "./Failures.ts"
import { answers } from "./Problem.ts"

/**
 * Annotates an endpoint whose body must not be repeated in any answer, not even in part, with what
 * is said instead when it is wrong.
 */
export class ConfidentialBody extends Context.Service<ConfidentialBody, string>()(
  "solo/plugins/http/ProblemDetails/ConfidentialBody",
) {}

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
        const expected = Context.getOrUndefined(endpoint.annotations, ConfidentialBody)
        if (expected === undefined) return Effect.catchCause(handled, respondToFailure)
        const conceal = withoutEcho(expected)
        return Effect.catchCause(handled, (cause) => respondToFailure(conceal(cause)))
      }),
    ),
  )
}
