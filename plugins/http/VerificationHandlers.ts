/**
 * What the routes of `VerificationApi` do.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Option from "effect/Option"
import { Verifier } from "solo"

import { Api } from "./Api.ts"
import { fromKernel } from "./Failures.ts"
import { problem } from "./Problem.ts"

/** The handlers of the group `verification`. */
export const VerificationHandlers = HttpApiBuilder.group(
  Api,
  "verification",
  Effect.fnUntraced(function* (handlers) {
    const verifier = yield* Verifier
    return handlers.handleAll({
      report: () =>
        Effect.flatMap(
          verifier.verificationReport,
          Option.match({
            onNone: () =>
              Effect.fail(
                problem(
                  "verification-not-found",
                  "no verification has ended yet in this kernel process",
                ),
              ),
            onSome: Effect.succeed,
          }),
        ),
      verify: ({ query }) => Effect.mapError(verifier.verifyConsistency(query), fromKernel),
      fix: ({ query }) => Effect.mapError(verifier.autoFix(query), fromKernel),
    })
  }),
)
