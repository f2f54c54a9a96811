/**
 * What the last recovery and the last verification came to, as figures to watch and to be alarmed
 * by. What they mean in words is in their reports.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

import type { RecoveryReport } from "../../domain/RecoveryReport.ts"
import type { VerificationReport } from "../../domain/VerificationReport.ts"

const outcomes = ["recovered", "skipped", "failed"] as const

const recoveryServices = Metric.gauge("solo_recovery_services", {
  description: "Services of the last recovery, by what became of them",
})
const recoverySeconds = Metric.gauge("solo_recovery_seconds", {
  description: "How long the last recovery took",
})
const eventsUnreadable = Metric.gauge("solo_recovery_events_unreadable", {
  description: "Events of the log that could not be read and were skipped",
})
const found = Metric.gauge("solo_verification_inconsistencies", {
  description: "Inconsistencies that the last verification found; 0 is as it must be",
})
const verifiedAt = Metric.gauge("solo_verification_timestamp_seconds", {
  description: "When the last verification began, in seconds since the epoch",
})

/** Sets the figures of recovery. */
export const measureRecovery = Effect.fnUntraced(function* (report: RecoveryReport) {
  for (const outcome of outcomes) {
    yield* Metric.update(Metric.withAttributes(recoveryServices, { outcome }), report[outcome])
  }
  yield* Metric.update(recoverySeconds, report.durationMs / 1000)
  yield* Metric.update(eventsUnreadable, report.eventsUnreadable)
})

/** Sets the figures of verification. */
export const measureVerification = Effect.fnUntraced(function* (report: VerificationReport) {
  yield* Metric.update(found, report.inconsistencyCount)
  yield* Metric.update(verifiedAt, Date.parse(report.timestamp) / 1000)
})
