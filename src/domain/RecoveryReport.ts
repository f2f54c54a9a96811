/**
 * What a recovery did, as `GET /v1/recovery` answers it.
 */
import * as Schema from "effect/Schema"

import { Count } from "./Bounds.ts"
import { ServiceId, TenantId } from "./Identifier.ts"

/**
 * The outcome for one service. `recovered`: it runs again. `skipped`: it was not started, because
 * it runs already or a newer deployment or kill won. `failed`: it could not be started.
 */
export const RecoveryOutcome = Schema.Struct({
  tenantId: TenantId,
  serviceId: ServiceId,
  revision: Count,
  outcome: Schema.Literals(["recovered", "skipped", "failed"]),
  /** Why, unless it was recovered. */
  reason: Schema.NullOr(Schema.String),
  durationMs: Count,
})
/** @see {@link RecoveryOutcome} */
export type RecoveryOutcome = typeof RecoveryOutcome.Type

/** One recovery. `count` is the number of services that should run. */
export const RecoveryReport = Schema.Struct({
  /** Id of its `recovery_started` event, which the events it caused point to; `null` if unlogged. */
  recoveryId: Schema.NullOr(Count),
  startedAt: Schema.String,
  durationMs: Count,
  /** Events folded to find out what should run, and rows skipped because they are unreadable. */
  eventsReplayed: Count,
  eventsUnreadable: Count,
  count: Count,
  recovered: Count,
  skipped: Count,
  failed: Count,
  /** Whether the whole recovery ran out of time: then `failed` names what was left. */
  timedOut: Schema.Boolean,
  services: Schema.Array(RecoveryOutcome),
})
/** @see {@link RecoveryReport} */
export type RecoveryReport = typeof RecoveryReport.Type
