/**
 * The verifier at work: turns what an examination found into a report, logs it, remembers how far
 * the log was audited, and has repaired what can be. It verifies on its own on a schedule, the
 * whole log now and then.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type { SqlClient } from "effect/sql/SqlClient"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { draft, type EventDraft } from "../../domain/Event.ts"
import {
  type FixReport,
  type Inconsistency,
  maxListed,
  statusOf,
  type VerificationReport,
} from "../../domain/VerificationReport.ts"
import { KernelConfig } from "../KernelConfig.ts"
import type { ArtifactStore } from "../log/ArtifactStore.ts"
import type { Digest } from "../log/Digest.ts"
import { EventStore } from "../log/EventStore.ts"
import { makeFailed, type Storage, type StorageError } from "../log/Storage.ts"
import { Readiness } from "../Readiness.ts"
import type { Registry } from "../services/Registry.ts"
import type { ServiceLock } from "../services/ServiceLock.ts"
import type { ServiceLogs } from "../services/ServiceLogs.ts"
import type { Supervisor } from "../services/Supervisor.ts"
import type { Checkpoints } from "./Checkpoints.ts"
import type { DesiredState } from "./DesiredState.ts"
import { examine, unexamined } from "./Examination.ts"
import { auditStart, type LogAudit } from "./LogAudit.ts"
import { measureVerification } from "./RecoveryMetrics.ts"
import { repair } from "./Repair.ts"
import type { Replayer } from "./Replayer.ts"
import {
  type FixOptions,
  type VerificationProgress,
  Verifier,
  type VerifierChecks,
  type VerifyOptions,
} from "./Verifier.ts"

/** `inconsistency_detected` events one verification writes at most; the next ones write the rest. */
const maxLogged = 20

/** What the verifier keeps from one verification to the next. */
interface Memory {
  audit: LogAudit | undefined
  last: VerificationReport | undefined
  lastFullAt: number | undefined
  progress: VerificationProgress | undefined
  /** What the last report listed and the log has, so that each is logged once while it lasts. */
  readonly logged: Set<string>
}

const keyOf = (found: Inconsistency) =>
  JSON.stringify([found.invariant, found.tenantId, found.serviceId, found.eventId, found.detail])

/** Logs a verification and what is new in it; a log that takes nothing must not hinder it. */
const log = Effect.fnUntraced(function* (memory: Memory, report: VerificationReport) {
  const store = yield* EventStore
  const { full, status, inconsistencyCount, durationMs, consistencyChecks } = report
  const completed = draft("verification_completed", {
    full,
    status,
    eventsChecked: consistencyChecks.eventsChecked,
    inconsistencies: inconsistencyCount,
    durationMs,
  })
  const verificationId = (yield* store.emit(completed)).id
  const keys = new Set(report.inconsistencies.map(keyOf))
  // What was repaired and comes again is new again.
  for (const key of memory.logged) if (!keys.has(key)) memory.logged.delete(key)
  const fresh = report.inconsistencies
    .filter((found) => !memory.logged.has(keyOf(found)))
    .slice(0, maxLogged)
  const [first, ...others] = fresh.map((found): EventDraft => {
    const { invariant, promise, detail, fixable, tenantId, serviceId } = found
    return draft(
      "inconsistency_detected",
      { invariant, promise, detail, fixable },
      {
        ...(tenantId === null ? {} : { tenantId }),
        ...(serviceId === null ? {} : { serviceId }),
        causationId: verificationId,
      },
    )
  })
  if (first !== undefined) yield* store.append([first, ...others])
  for (const found of fresh) memory.logged.add(keyOf(found))
  return verificationId
})

const announce = (report: VerificationReport) => {
  const { status, full, durationMs, inconsistencyCount, consistencyChecks } = report
  const figures = { status, full, durationMs, inconsistencyCount, ...consistencyChecks }
  return Effect.andThen(
    status === "ok" ? Effect.logInfo("verified") : Effect.logWarning("verified"),
    Effect.forEach(
      report.inconsistencies.slice(0, maxLogged),
      ({ invariant, detail, tenantId, serviceId }) =>
        Effect.logWarning(`${invariant}: ${detail}`).pipe(
          Effect.annotateLogs({ tenantId, serviceId }),
        ),
      { discard: true },
    ),
  ).pipe(Effect.annotateLogs(figures))
}

const verify = Effect.fnUntraced(function* (memory: Memory, full: boolean) {
  const failed = yield* makeFailed
  const timestamp = DateTime.formatIso(yield* DateTime.now)
  const onStep = (progress: VerificationProgress) => void (memory.progress = progress)
  const examination = examine(full, memory.audit, onStep).pipe(
    Effect.catchTag("SqlError", (error) => Effect.fail(failed("verify")(error))),
    // A report that says so, in the place of an older one that says all is well.
    Effect.catchIf(
      ({ fault }) => fault === "corrupt",
      (error) => Effect.succeed(unexamined(memory.audit, error.message)),
    ),
  )
  const [took, { audit, found, inconsistencyCount, recommendations, consistencyChecks }] =
    yield* Effect.timed(examination)
  memory.audit = audit
  const report: VerificationReport = {
    verificationId: null,
    timestamp,
    durationMs: Math.round(Duration.toMillis(took)),
    full,
    status: statusOf(found),
    consistencyChecks,
    inconsistencies: found.slice(0, maxListed),
    inconsistencyCount,
    recommendations,
  }
  yield* announce(report)
  const verificationId = yield* log(memory, report).pipe(
    Effect.catch((error) =>
      Effect.logWarning("could not log a verification").pipe(
        Effect.annotateLogs({ reason: error.message }),
        Effect.as(null),
      ),
    ),
  )
  memory.last = { ...report, verificationId }
  yield* measureVerification(memory.last)
  if (full) memory.lastFullAt = yield* Clock.currentTimeMillis
  return { report: memory.last, found }
})

const fix = Effect.fnUntraced(function* (memory: Memory, options: FixOptions) {
  const full = options.full ?? false
  const before = yield* verify(memory, full)
  // Not only what the report lists: one repair is to leave nothing for the next.
  const results = yield* repair(before.found, memory.audit ?? auditStart, options)
  if (results.length === 0) return { fixes: [], failures: [], verification: before.report }
  const { report: verification } = yield* verify(memory, full)
  return {
    fixes: results.flatMap((result) => result.fix ?? []),
    failures: results.flatMap(({ found, reason }) =>
      reason === undefined ? [] : { inconsistency: found, reason },
    ),
    verification,
  } satisfies FixReport
})

/** Verifies now and then while the kernel is ready. */
const schedule = Effect.fnUntraced(function* (
  memory: Memory,
  verifyConsistency: (options: VerifyOptions) => Effect.Effect<unknown, StorageError>,
) {
  const { verificationIntervalMs, fullVerificationIntervalMs } = yield* KernelConfig
  const readiness = yield* Readiness
  const once = Effect.gen(function* () {
    if (SubscriptionRef.getUnsafe(readiness).status !== "ready") return
    const now = yield* Clock.currentTimeMillis
    const { lastFullAt } = memory
    const full = lastFullAt === undefined || now - lastFullAt >= fullVerificationIntervalMs
    yield* verifyConsistency({ full })
  })
  return yield* Effect.sleep(verificationIntervalMs).pipe(
    Effect.andThen(once),
    Effect.catchCause((cause) => Effect.logError("could not verify", cause)),
    Effect.forever,
  )
})

const make = Effect.gen(function* () {
  const context = yield* Effect.context<
    | ArtifactStore
    | Checkpoints
    | DesiredState
    | Digest
    | EventStore
    | KernelConfig
    | Readiness
    | Registry
    | Replayer
    | ServiceLock
    | ServiceLogs
    | SqlClient
    | Storage
    | Supervisor
    | VerifierChecks
  >()
  const memory: Memory = {
    audit: undefined,
    last: undefined,
    lastFullAt: undefined,
    progress: undefined,
    logged: new Set(),
  }
  const oneAtATime = yield* Semaphore.make(1)
  const alone = <A, E>(effect: Effect.Effect<A, E>) =>
    oneAtATime.withPermit(
      Effect.ensuring(
        effect,
        Effect.sync(() => (memory.progress = undefined)),
      ),
    )

  const verifyConsistency = Effect.fn("Verifier.verifyConsistency")((options: VerifyOptions = {}) =>
    alone(
      verify(memory, options.full ?? false).pipe(
        Effect.map(({ report }) => report),
        Effect.provideContext(context),
      ),
    ),
  )
  yield* Effect.forkScoped(Effect.provideContext(schedule(memory, verifyConsistency), context))

  return Verifier.of({
    verifyConsistency,
    verificationReport: Effect.sync(() => Option.fromUndefinedOr(memory.last)),
    progress: Effect.sync(() => Option.fromUndefinedOr(memory.progress)),
    autoFix: Effect.fn("Verifier.autoFix")((options: FixOptions = {}) =>
      alone(Effect.provideContext(fix(memory, options), context)),
    ),
  })
})

/** The verifier, and its schedule. */
export const layerVerifier = Layer.effect(Verifier, make)
