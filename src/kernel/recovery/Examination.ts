/**
 * One look at everything the verifier checks: log, services, artifacts, checkpoints, storage, and
 * the registered checks. It only looks; reporting, logging and repairing are done by others.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"

import { maxEventId } from "../../domain/Event.ts"
import { ServiceId, TenantId } from "../../domain/Identifier.ts"
import { type Invariant, invariants } from "../../domain/Invariant.ts"
import { type Inconsistency, inconsistency } from "../../domain/VerificationReport.ts"
import { EventStore } from "../log/EventStore.ts"
import { Storage } from "../log/Storage.ts"
import { auditArtifacts } from "./ArtifactsAudit.ts"
import { Checkpoints, type StoredCheckpoint } from "./Checkpoints.ts"
import { auditLog, auditStart, type LogAudit } from "./LogAudit.ts"
import { Replayer } from "./Replayer.ts"
import { auditServices } from "./ServicesAudit.ts"
import {
  type CheckResult,
  type Finding,
  type VerificationProgress,
  VerifierChecks,
} from "./Verifier.ts"

/** Structural findings of the storage that are listed at most. */
const maxStructural = 10

/** Characters of damaged names that a finding repeats. */
const maxShownNames = 200

/** Where an audit goes on: from the last one, from a checkpoint that fits the log, or anew. */
const startOf = Effect.fnUntraced(function* (full: boolean, resume: LogAudit | undefined) {
  if (full) return auditStart
  if (resume !== undefined) return resume
  const checkpoint = Option.getOrUndefined(yield* (yield* Checkpoints).latest)
  return checkpoint === undefined ? auditStart : { ...auditStart, ...checkpoint }
})

const checkHead = Effect.gen(function* () {
  const sql = yield* SqlClient
  const [row] = yield* sql<{
    readonly id: number | null
    readonly hash: string | null
    readonly headId: number | null
    readonly headHash: string | null
  }>`
    SELECT newest.id, newest.hash, last_id AS headId, last_hash AS headHash
    FROM (SELECT 1) LEFT JOIN log_head ON singleton = 1
      LEFT JOIN (SELECT id, hash FROM events ORDER BY id DESC LIMIT 1) AS newest`
  if (row === undefined || (row.id === row.headId && row.hash === row.headHash)) return []
  const detail = `the last event is ${row.id ?? "missing"}, the log's head says ${row.headId ?? "nothing"}`
  const eventId = Math.min(row.headId ?? 0, maxEventId)
  return [inconsistency("head_is_last", detail, { eventId: eventId < 1 ? undefined : eventId })]
})

const checkStorage = Effect.gen(function* () {
  const storage = yield* Storage
  const findings = yield* storage.integrity
  return findings.slice(0, maxStructural).map((line) => inconsistency("storage_sound", line))
})

/** Judges the checkpoints by the log's fold at their events; both may only be compared where known. */
const checkCheckpoints = Effect.fnUntraced(function* (
  stored: ReadonlyArray<StoredCheckpoint>,
  { audit, folds }: Effect.Success<ReturnType<typeof auditLog>>,
) {
  const checkpoints = yield* Checkpoints
  const found: Array<Inconsistency> = []
  for (const { id, text, flaw } of stored) {
    const fold = folds.get(id)
    if (flaw !== undefined) {
      const detail = `the checkpoint at event ${id} is not used: ${flaw}`
      found.push(inconsistency("checkpoint_is_whole", detail, { eventId: id }))
    } else if (fold !== undefined && (yield* checkpoints.textOf(fold)) !== text) {
      // Where the log itself is damaged, the checkpoint may be the one that is right.
      const detail = `the checkpoint at event ${id} is not the fold of the log up to there`
      const fixable = audit.findings === 0
      found.push(inconsistency("checkpoint_is_fold", detail, { eventId: id, fixable }))
    }
  }
  return found
})

const decodeNames = Schema.decodeUnknownResult(
  Schema.Struct({ tenantId: Schema.NullOr(TenantId), serviceId: Schema.NullOr(ServiceId) }),
)

/** Damaged rows may name what can be no tenant or service: that goes into the text, and no further. */
const toInconsistency = (found: Finding): Inconsistency => {
  const { detail, serviceId, tenantId } = found
  const decoded = decodeNames({ tenantId, serviceId })
  if (Result.isSuccess(decoded)) return { ...found, ...decoded.success }
  const names = JSON.stringify([tenantId, serviceId].filter((name) => name !== null))
  const place = names.slice(0, maxShownNames)
  return { ...found, tenantId: null, serviceId: null, detail: `${detail} (of ${place})` }
}

/** What a registered check came to. */
interface Checked extends CheckResult {
  readonly inconsistencies: ReadonlyArray<Inconsistency>
}

const runRegistered = Effect.fnUntraced(function* (full: boolean) {
  const results = new Map<string, Checked>()
  for (const check of (yield* VerifierChecks).all()) {
    const result = yield* check.verify({ full }).pipe(
      Effect.catchCause((cause) => {
        const found = inconsistency("check_completes", `${check.name} could not be checked`)
        return Effect.as(Effect.logWarning(`could not check ${check.name}`, cause), {
          figures: {},
          inconsistencies: [found],
          recommendations: [],
        } satisfies CheckResult)
      }),
    )
    results.set(check.name, {
      ...result,
      inconsistencies: result.inconsistencies.map(toInconsistency),
    })
  }
  return results
})

const recommend = (
  found: ReadonlyArray<Inconsistency>,
  registered: ReadonlyMap<string, CheckResult>,
): ReadonlyArray<string> => {
  const names = new Set(found.map(({ invariant }) => invariant))
  const own = Object.entries<Invariant>(invariants)
    .filter(([name]) => names.has(name))
    .sort(([, left], [, right]) => left.severity.localeCompare(right.severity))
    .map(([, { advice }]) => advice)
  return [...own, ...[...registered.values()].flatMap((result) => result.recommendations)]
}

/**
 * Audits everything: the log from its first event if `full`, else from where `resume` got to, or
 * from a checkpoint. Nothing is logged.
 */
export const examine = Effect.fnUntraced(function* (
  full: boolean,
  resume: LogAudit | undefined,
  onStep: (progress: VerificationProgress) => void,
) {
  const store = yield* EventStore
  const from = yield* startOf(full, resume)
  const eventsTotal = yield* store.lastId
  const stored = yield* (yield* Checkpoints).stored
  const head = yield* checkHead
  const log = yield* auditLog({
    from,
    untilId: eventsTotal,
    foldsAt: new Set(stored.map(({ id }) => id)),
    onStep: (eventsChecked) => onStep({ full, eventsChecked, eventsTotal }),
  })
  const { audit } = log
  const services = yield* auditServices(audit)
  const { artifactsChecked, inconsistencies: damaged } = yield* auditArtifacts(audit.state)
  const registered = yield* runRegistered(full)
  const rest = [
    ...(full ? yield* checkStorage : []),
    ...head,
    ...(yield* checkCheckpoints(stored, log)),
    ...services.inconsistencies,
    ...damaged,
    ...[...registered.values()].flatMap((result) => result.inconsistencies),
  ]
  const recovery = yield* (yield* Replayer).recoveryReport
  return {
    audit,
    found: [...rest, ...audit.inconsistencies],
    inconsistencyCount: rest.length + audit.findings,
    recommendations: recommend([...rest, ...audit.inconsistencies], registered),
    consistencyChecks: {
      ...services.figures,
      servicesRecovered: Option.match(recovery, { onNone: () => 0, onSome: (r) => r.recovered }),
      eventsChecked: audit.id - from.id,
      eventsFrom: from.id,
      eventsTo: audit.id,
      eventsUnreadable: audit.unreadable,
      clockStepsBack: audit.clockStepsBack,
      artifactsChecked,
      checkpointsChecked: stored.length,
      registered: Object.fromEntries(
        [...registered].map(([name, { figures }]) => [name, figures] as const),
      ),
    },
  }
})

/**
 * What is left to say when the database could not be read to the end: that, and nothing that would
 * look like a clean bill.
 */
export const unexamined = (
  resume: LogAudit | undefined,
  reason: string,
): Effect.Success<ReturnType<typeof examine>> => {
  const from = resume ?? auditStart
  const found = [inconsistency("storage_sound", reason)]
  return {
    audit: from,
    found,
    inconsistencyCount: found.length,
    recommendations: recommend(found, new Map()),
    consistencyChecks: {
      servicesDeployed: 0,
      servicesPresent: 0,
      servicesRunning: 0,
      servicesFailed: 0,
      servicesKilled: 0,
      servicesBusy: 0,
      servicesRecovered: 0,
      eventsChecked: 0,
      eventsFrom: from.id,
      eventsTo: from.id,
      eventsUnreadable: from.unreadable,
      clockStepsBack: from.clockStepsBack,
      artifactsChecked: 0,
      checkpointsChecked: 0,
      registered: {},
    },
  }
}
