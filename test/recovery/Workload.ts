/**
 * Carries requests out on a kernel and tells what they came to. It checks nothing.
 */
import * as Effect from "effect/Effect"

import type { RollbackError } from "../../src/kernel/services/Deployer.ts"
import { deploy, type Kernel, kill, named, rollback, swap } from "../kernel/harness/Machine.ts"
import type { Answer, Request } from "./Model.ts"

const answerOf = (error: { readonly _tag: string }): Answer => {
  switch (error._tag) {
    case "ServiceConflict":
      return { _tag: "Conflict" }
    case "ServiceNotFound":
      return { _tag: "NotFound" }
    case "NoPreviousRevision":
      return { _tag: "NoPrevious" }
    default:
      return { _tag: "Refused" }
  }
}

const carryOut = (
  kernel: Kernel,
  request: Request,
): Effect.Effect<{ readonly created: boolean; readonly revision: number }, RollbackError> => {
  const name = named(request.tenant, request.service)
  switch (request.do) {
    case "deploy":
      return Effect.map(deploy(kernel, name, { n: request.n }), ({ created, service }) => ({
        created,
        revision: service.revision,
      }))
    case "swap":
      return Effect.map(swap(kernel, name, { n: request.n }), changed)
    case "rollback":
      return Effect.map(rollback(kernel, name), changed)
    case "kill":
      return Effect.map(kill(kernel, name), changed)
  }
}

const changed = ({ revision }: { readonly revision: number }) => ({ created: true, revision })

/** Makes a request. */
export const ask = (kernel: Kernel, request: Request): Effect.Effect<Answer> =>
  carryOut(kernel, request).pipe(
    Effect.map((came): Answer => ({ _tag: "Done", ...came })),
    Effect.catch((error) => Effect.succeed(answerOf(error))),
  )
