/**
 * What must always be true, as the verifier checks it: each invariant with the promise it defends,
 * how bad it is when it does not hold, and what a person can do then.
 */

/** `warning`: nothing is lost or wrong for anybody now. `error`: something is. */
type Severity = "warning" | "error"

/** One thing that must always be true. */
export interface Invariant {
  /** The number of the promise it defends. */
  readonly promise: number
  readonly severity: Severity
  /** What to do when it does not hold; one sentence. */
  readonly advice: string
}

/** The kernel's own invariants by name. Plugins and other parts bring theirs with their checks. */
export const invariants = {
  /** Every service has its `service_deployed`. */
  service_has_event: {
    promise: 10,
    severity: "error",
    advice:
      "A service runs that the log does not know: repair (POST /v1/verification/fix) to log it, or kill it.",
  },
  /** No service is there whose last fact is a kill. */
  killed_stays_killed: {
    promise: 2,
    severity: "error",
    advice: "A killed service is still there: repair (POST /v1/verification/fix) to stop it.",
  },
  /** Every service deployed last and not killed is there, running or known to have failed. */
  event_has_service: {
    promise: 1,
    severity: "error",
    advice:
      "A deployed service is not there: repair (POST /v1/verification/fix) to bring it back, or kill it.",
  },
  /** What is there is the revision and spec that was deployed last. */
  service_is_as_deployed: {
    promise: 10,
    severity: "error",
    advice:
      "A service is not what the log says: deploy it again, or restart the kernel to take the log's word.",
  },
  /** The state in memory is the fold of the log. */
  memory_is_fold: {
    promise: 10,
    severity: "error",
    advice:
      "The kernel remembers other facts than the log: repair what can be repaired, look for missing events, and restart the kernel.",
  },
  /** The registry's indexes count the same services. */
  counts_match: {
    promise: 10,
    severity: "error",
    advice: "The registry miscounts: restart the kernel, and report this as a bug.",
  },
  /** The source of every deployed service is there and is what was deployed. */
  artifact_intact: {
    promise: 4,
    severity: "error",
    advice:
      "The source of a service is lost: deploy it again, or restore a backup (node dist/main.js restore).",
  },
  /** Ids have no gaps and begin at 1. */
  ids_gapless: {
    promise: 5,
    severity: "error",
    advice:
      "Events are missing from the log: restore a backup if it has them, and find out who changed the database.",
  },
  /** Every event's hash covers it and the event before it. */
  chain_holds: {
    promise: 5,
    severity: "error",
    advice:
      "Events were changed after they were written: restore a backup, and find out who changed the database.",
  },
  /** The head of the log is its last event. */
  head_is_last: {
    promise: 5,
    severity: "error",
    advice:
      "The end of the log is not where it was written to: restore a backup, and find out who changed the database.",
  },
  /** Every event can be read. */
  events_readable: {
    promise: 4,
    severity: "warning",
    advice:
      "Some events cannot be read and are skipped: run the version of Solo that wrote them, or restore a backup.",
  },
  /** Every checkpoint is the fold of the log at its event. */
  checkpoint_is_fold: {
    promise: 3,
    severity: "error",
    advice:
      "A checkpoint disagrees with the log: repair (POST /v1/verification/fix) to take it anew.",
  },
  /** Every kept checkpoint is whole and fits the log. */
  checkpoint_is_whole: {
    promise: 3,
    severity: "warning",
    advice: "A checkpoint is damaged and is not used: nothing to do, the next one takes its place.",
  },
  /** The database is structurally sound. */
  storage_sound: {
    promise: 1,
    severity: "error",
    advice:
      "The database file is damaged: back up what can be read, then restore the last good backup.",
  },
  /** Every registered check can be carried out. */
  check_completes: {
    promise: 10,
    severity: "warning",
    advice: "A check could not be carried out: see its detail and verify again.",
  },
} as const satisfies Record<string, Invariant>

/** The name of one of the kernel's own invariants. */
export type InvariantName = keyof typeof invariants
