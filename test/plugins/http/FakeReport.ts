/** The recovery report of the fake kernel: nothing was to be recovered. */
import type { RecoveryReport } from "solo"

/** The report. */
export const report: RecoveryReport = {
  recoveryId: 1,
  startedAt: "2026-01-01T00:00:00.000Z",
  durationMs: 1,
  eventsReplayed: 0,
  eventsUnreadable: 0,
  count: 0,
  recovered: 0,
  skipped: 0,
  failed: 0,
  timedOut: false,
  services: [],
}
