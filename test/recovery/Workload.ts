/**
 * Carries requests out on a kernel and tells what they came to. It checks nothing.
 */
import * as Effect from "effect/Effect"

import type { DeployError, KillError } from "../../src/kernel/services/Deployer.ts"
import { deploy, type Kernel, kill, named } from "../kernel/harness/Machine.ts"
import type { Answer, Request } from "./Model.ts"

const answerOf = (error: { readonly _tag: string }): Answer => {
  switch (error._tag) {
    case "ServiceConflict":
      return { _tag: "Conflict" }
    case "ServiceNotFound":
      return { _tag: "NotFound" }
    default:
      return { _tag: "Refused" }
  }
}

/** Makes a request. */
export const ask = (kernel: Kernel, request: Request): Effect.Effect<Answer> => {
  const name = named(request.tenant, request.service)
  const asked: Effect.Effect<Answer, DeployError | KillError> =
    request.do === "deploy"
      ? Effect.map(
          deploy(kernel, name, { n: request.n }),
          ({ created, service: { revision } }): Answer => ({ _tag: "Done", created, revision }),
        )
      : Effect.map(kill(kernel, name), ({ revision }): Answer => ({
          _tag: "Done",
          created: true,
          revision,
        }))
  return Effect.catch(asked, (error) => Effect.succeed(answerOf(error)))
}
