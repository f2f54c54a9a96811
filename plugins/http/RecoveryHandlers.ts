/**
 * What the routes of `RecoveryApi` do.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Option from "effect/Option"
import { Replayer } from "solo"

import { Api } from "./Api.ts"
import { problem } from "./Problem.ts"

/** The handlers of the group `recovery`. */
export const RecoveryHandlers = HttpApiBuilder.group(
  Api,
  "recovery",
  Effect.fnUntraced(function* (handlers) {
    const replayer = yield* Replayer
    return handlers.handleAll({
      report: () =>
        Effect.flatMap(
          replayer.recoveryReport,
          Option.match({
            onNone: () =>
              Effect.fail(
                problem("report-not-found", "no recovery has ended yet in this kernel process"),
              ),
            onSome: Effect.succeed,
          }),
        ),
      replay: () => replayer.replayDeployments,
    })
  }),
)
