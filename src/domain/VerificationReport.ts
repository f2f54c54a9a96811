/**
 * What a verification found and what a repair did, as `GET /v1/verification` and
 * `POST /v1/verification/fix` answer it.
 */
import * as Schema from "effect/Schema"

import { Count } from "./Bounds.ts"
import { ServiceId, type ServiceName, TenantId } from "./Identifier.ts"
import { type InvariantName, invariants } from "./Invariant.ts"

/** Inconsistencies a report lists at most; `inconsistencyCount` counts them all. */
export const maxListed = 100

/** One thing that is not as it must be. */
export const Inconsistency = Schema.Struct({
  /** The invariant that does not hold. */
  invariant: Schema.String,
  /** The promise of the design that it defends. */
  promise: Count,
  severity: Schema.Literals(["warning", "error"]),
  tenantId: Schema.NullOr(TenantId),
  serviceId: Schema.NullOr(ServiceId),
  eventId: Schema.NullOr(Count),
  /** What exactly, for people. */
  detail: Schema.String,
  /** Whether `autoFix` repairs it. What is ambiguous is for people to decide. */
  fixable: Schema.Boolean,
})
/** @see {@link Inconsistency} */
export type Inconsistency = typeof Inconsistency.Type

/** One verification. */
export const VerificationReport = Schema.Struct({
  /** Id of its `verification_completed`, which `inconsistency_detected` points to. */
  verificationId: Schema.NullOr(Count),
  timestamp: Schema.String,
  durationMs: Count,
  /** Whether the log was read from its first event, and the storage examined. */
  full: Schema.Boolean,
  /** The worst severity found. */
  status: Schema.Literals(["ok", "warning", "error"]),
  consistencyChecks: Schema.Struct({
    /** Services that the log says should be there, and services that are. */
    servicesDeployed: Count,
    servicesPresent: Count,
    servicesRunning: Count,
    /** Present, but failed or stopped on their own: known, not inconsistent. */
    servicesFailed: Count,
    /** Services brought back by this process's last recovery. */
    servicesRecovered: Count,
    /** Services whose last fact is a kill. */
    servicesKilled: Count,
    /** Services left out because a deployment or kill of them went on all the while. */
    servicesBusy: Count,
    /** Events read by this verification, from the one after `eventsFrom` to `eventsTo`. */
    eventsChecked: Count,
    eventsFrom: Count,
    eventsTo: Count,
    eventsUnreadable: Count,
    /** How often an event is older than the one before it: the clock was set back. */
    clockStepsBack: Count,
    artifactsChecked: Count,
    checkpointsChecked: Count,
    /** Figures of the checks that other parts of the kernel registered, by check. */
    registered: Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.Finite)),
  }),
  /** What was found, at most `maxListed`. */
  inconsistencies: Schema.Array(Inconsistency),
  inconsistencyCount: Count,
  /** What a person can do about it, most urgent first. */
  recommendations: Schema.Array(Schema.String),
})
/** @see {@link VerificationReport} */
export type VerificationReport = typeof VerificationReport.Type

/** What a repair does: each is logged with what it changes, in one transaction. */
export const FixAction = Schema.Literals([
  /** The missing `service_deployed` was logged. */
  "logged",
  /** The missing service was brought back. */
  "redeployed",
  /** `service_killed` was logged for a service that cannot be brought back, or was not to be. */
  "marked_killed",
  /** The service was stopped. */
  "stopped",
  /** The state in memory was set to what the log says. */
  "reread",
  /** The checkpoints were dropped and taken anew. */
  "rebuilt",
  /** What a registered check repairs. */
  "repaired",
])
/** @see {@link FixAction} */
export type FixAction = typeof FixAction.Type

/** One repair that was done. */
export const Fix = Schema.Struct({
  invariant: Schema.String,
  action: FixAction,
  tenantId: Schema.NullOr(TenantId),
  serviceId: Schema.NullOr(ServiceId),
  detail: Schema.String,
  /** Id of its `auto_fix_applied`. */
  eventId: Count,
})
/** @see {@link Fix} */
export type Fix = typeof Fix.Type

/** What a repair came to. */
export const FixReport = Schema.Struct({
  fixes: Schema.Array(Fix),
  /** What should have been repaired and could not be, and why. */
  failures: Schema.Array(Schema.Struct({ inconsistency: Inconsistency, reason: Schema.String })),
  /** The verification after it. */
  verification: VerificationReport,
})
/** @see {@link FixReport} */
export type FixReport = typeof FixReport.Type

/** States that one of the kernel's own invariants does not hold. */
export const inconsistency = (
  invariant: InvariantName,
  detail: string,
  where: {
    readonly name?: ServiceName | undefined
    readonly eventId?: number | undefined
    readonly fixable?: boolean
  } = {},
): Inconsistency => ({
  invariant,
  promise: invariants[invariant].promise,
  severity: invariants[invariant].severity,
  tenantId: where.name?.tenantId ?? null,
  serviceId: where.name?.serviceId ?? null,
  eventId: where.eventId ?? null,
  detail,
  fixable: where.fixable ?? false,
})

/** The status that follows from what was found. */
export const statusOf = (found: ReadonlyArray<Inconsistency>): VerificationReport["status"] =>
  found.some((one) => one.severity === "error") ? "error" : found.length > 0 ? "warning" : "ok"
