/**
 * The order of a start once everything is built: fold the log, bring the services back, verify, be
 * ready. And the first step of the way down, taken before anything is closed.
 */
import * as Effect from "effect/Effect"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { KernelConfig } from "./KernelConfig.ts"
import { Lifecycle } from "./Lifecycle.ts"
import { Readiness } from "./Readiness.ts"
import { DesiredState } from "./recovery/DesiredState.ts"
import { Replayer } from "./recovery/Replayer.ts"
import { Verifier } from "./recovery/Verifier.ts"

/** Verifies what recovery came to. Whatever that finds, or fails with, the start goes on. */
const verify = Effect.gen(function* () {
  const { autoFix } = yield* KernelConfig
  const verifier = yield* Verifier
  yield* autoFix ? Effect.asVoid(verifier.autoFix()) : Effect.asVoid(verifier.verifyConsistency())
}).pipe(Effect.catchCause((cause) => Effect.logError("could not verify the recovery", cause)))

/**
 * Brings the kernel up; returns when it is ready. Fails only if the log cannot be read at all. The
 * scope's end announces the shutdown, for `reason`, so it must be the last thing started in it.
 */
export const startup = Effect.fn("startup")(function* (reason: () => string) {
  const desired = yield* DesiredState
  const lifecycle = yield* Lifecycle
  const readiness = yield* Readiness
  const replayer = yield* Replayer

  yield* Effect.addFinalizer(() => lifecycle.shutdown(reason()))
  // A run that could not even start is no clean one, however well it ends (promise 9).
  yield* Effect.tapError(desired.load, (error) => lifecycle.failed(`start-up: ${error.message}`))
  yield* replayer.replayDeployments
  yield* verify
  yield* SubscriptionRef.update(readiness, (phase) =>
    phase.status === "recovering" ? { status: "ready" as const } : phase,
  )
  yield* Effect.logInfo("ready")
})
