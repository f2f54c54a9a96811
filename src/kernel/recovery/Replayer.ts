/**
 * Recovery: folds the log into what should run and brings that back (promises 2, 3 and 4).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"

import type { RecoveryReport } from "../../domain/RecoveryReport.ts"

/** Brings back what the log says should run. */
export class Replayer extends Context.Service<
  Replayer,
  {
    /**
     * Recovers whatever should run and does not. Idempotent; one at a time. Once begun it goes on
     * although its caller is interrupted, until the kernel stops.
     */
    readonly replayDeployments: Effect.Effect<RecoveryReport>
    /** The last recovery of this kernel process. */
    readonly recoveryReport: Effect.Effect<Option.Option<RecoveryReport>>
  }
>()("solo/kernel/recovery/Replayer") {}
