/**
 * Recovery at work. Each service is brought back on its own, under its lock and within its own
 * time: one that fails, hangs or is missing costs only itself (promise 4).
 */
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { draft } from "../../domain/Event.ts"
import type { RecoveryOutcome, RecoveryReport } from "../../domain/RecoveryReport.ts"
import { isUp } from "../../domain/Service.ts"
import { type Deployed, factOf, shouldRun } from "../../domain/State.ts"
import { KernelConfig } from "../KernelConfig.ts"
import type { ArtifactStore } from "../log/ArtifactStore.ts"
import { EventStore } from "../log/EventStore.ts"
import { note } from "../log/Note.ts"
import { Readiness } from "../Readiness.ts"
import type { Compiler } from "../services/Compiler.ts"
import { makeChild, Registry } from "../services/Registry.ts"
import { ServiceLock } from "../services/ServiceLock.ts"
import type { Starts } from "../services/Starts.ts"
import type { Supervisor } from "../services/Supervisor.ts"
import { DesiredState } from "./DesiredState.ts"
import { measureRecovery } from "./RecoveryMetrics.ts"
import { Replayer } from "./Replayer.ts"
import {
  type Attempt,
  attemptLocked,
  fail,
  failed,
  outOfTime,
  overtaken,
  type RecoveryId,
  recovered,
} from "./ServiceRecovery.ts"

type Outcomes = Map<Deployed, RecoveryOutcome>

const count = (outcomes: Outcomes, outcome: RecoveryOutcome["outcome"]): number =>
  [...outcomes.values()].filter((service) => service.outcome === outcome).length

const outcomeOf = (fact: Deployed, attempt: Attempt, durationMs: number): RecoveryOutcome => ({
  ...fact.name,
  revision: fact.revision,
  ...attempt,
  durationMs,
})

const noteOutcome = (
  cause: RecoveryId,
  { name, revision }: Deployed,
  { outcome, reason }: Attempt,
) => {
  const origin = { ...name, causationId: cause }
  switch (outcome) {
    case "skipped":
      return Effect.void
    case "recovered":
      return note(draft("service_recovered", { revision }, origin))
    case "failed":
      return note(draft("service_recovery_failed", { revision, reason: reason ?? "" }, origin))
  }
}

const broken = Effect.fnUntraced(function* (fact: Deployed, defect: unknown) {
  const reason = "recovery broke; see the kernel's log"
  yield* Effect.logError("recovery of a service broke", Cause.die(defect))
  const child = (yield* Registry).get(fact.name)
  return child === undefined || isUp(child) ? failed(reason) : fail(child, reason)
})

/** Brings one service back. What came of it is kept before it is logged: the log may take long. */
const attempt = Effect.fnUntraced(function* (
  cause: RecoveryId,
  fact: Deployed,
  outcomes: Outcomes,
) {
  const locks = yield* ServiceLock
  const [took, result] = yield* attemptLocked(cause, fact).pipe(
    locks.hold(fact.name),
    Effect.catchDefect((defect) => broken(fact, defect)),
    Effect.timed,
  )
  outcomes.set(fact, outcomeOf(fact, result, Math.round(Duration.toMillis(took))))
  if (result.outcome === "failed") {
    yield* Effect.logWarning("could not recover a service").pipe(
      Effect.annotateLogs({ ...fact.name, reason: result.reason }),
    )
  }
  yield* noteOutcome(cause, fact, result)
})

/** What the time limit of the whole recovery left over: it may have come back just so. */
const leave = Effect.fnUntraced(function* (cause: RecoveryId, fact: Deployed) {
  const { recoveryTimeoutMs } = yield* KernelConfig
  const registry = yield* Registry
  const late = yield* overtaken(fact)
  const child = registry.get(fact.name)
  const own = child?.revision === fact.revision ? child : undefined
  if (late !== undefined && own?.status === "starting") registry.remove(own)
  const result = late ?? (own?.status === "running" ? recovered : failed(outOfTime))
  if (result.outcome === "failed" && own !== undefined && !isUp(own)) fail(own, outOfTime)
  yield* noteOutcome(cause, fact, result)
  return outcomeOf(fact, result, recoveryTimeoutMs)
})

/** Shows progress while the kernel is not ready yet; a later replay shows none. */
const progress = Effect.fnUntraced(function* (outcomes: Outcomes, total: number) {
  const readiness = yield* Readiness
  yield* SubscriptionRef.update(readiness, (phase) =>
    phase.status === "recovering"
      ? {
          status: "recovering" as const,
          recovered: count(outcomes, "recovered"),
          failed: count(outcomes, "failed"),
          total,
        }
      : phase,
  )
})

const recoverAll = Effect.fnUntraced(function* (cause: RecoveryId, facts: ReadonlyArray<Deployed>) {
  const { recoveryConcurrency, recoveryTimeoutMs } = yield* KernelConfig
  const registry = yield* Registry
  const outcomes: Outcomes = new Map()
  // Shown as starting from the outset: a request to one of them meets 503, not 404.
  const state = yield* (yield* DesiredState).get
  for (const fact of facts) {
    const here = registry.get(fact.name) !== undefined
    if (!here && factOf(state, fact.name)?._tag === "Deployed") registry.put(makeChild(fact))
  }
  yield* progress(outcomes, facts.length)
  const whole = yield* Effect.forEach(
    facts,
    (fact) => Effect.andThen(attempt(cause, fact, outcomes), progress(outcomes, facts.length)),
    { concurrency: recoveryConcurrency, discard: true },
  ).pipe(Effect.timeoutOption(recoveryTimeoutMs))
  for (const fact of facts) {
    if (!outcomes.has(fact)) outcomes.set(fact, yield* leave(cause, fact))
  }
  return { outcomes, timedOut: Option.isNone(whole) }
})

const replay = Effect.gen(function* () {
  const desired = yield* DesiredState
  const store = yield* EventStore
  const facts = shouldRun(yield* desired.get)
  const startedAt = DateTime.formatIso(yield* DateTime.now)
  const cause = yield* note(draft("recovery_started", { services: facts.length }))
  const [took, { outcomes, timedOut }] = yield* Effect.timed(recoverAll(cause, facts))
  const figures = {
    recovered: count(outcomes, "recovered"),
    skipped: count(outcomes, "skipped"),
    failed: count(outcomes, "failed"),
    durationMs: Math.round(Duration.toMillis(took)),
    timedOut,
  }
  yield* note(draft("recovery_completed", figures, { causationId: cause }))
  const report: RecoveryReport = {
    recoveryId: cause,
    startedAt,
    ...figures,
    eventsReplayed: yield* desired.folded,
    eventsUnreadable: yield* store.unreadable,
    count: facts.length,
    services: [...outcomes.values()],
  }
  yield* Effect.logInfo("recovery completed").pipe(
    Effect.annotateLogs({ ...figures, events: report.eventsReplayed }),
  )
  return report
})

const make = Effect.gen(function* () {
  const context = yield* Effect.context<
    | ArtifactStore
    | Compiler
    | DesiredState
    | EventStore
    | KernelConfig
    | Readiness
    | Registry
    | ServiceLock
    | Starts
    | Supervisor
  >()
  const scope = yield* Effect.scope
  const oneAtATime = yield* Semaphore.make(1)
  let last = Option.none<RecoveryReport>()
  // In the replayer's own scope: whoever hangs up must not leave services half way back. One who
  // still waits for another recovery has begun none.
  const carriedOut = Effect.uninterruptibleMask((restore) =>
    restore(oneAtATime.take(1)).pipe(
      Effect.andThen(
        replay.pipe(
          Effect.tap((report) => Effect.sync(() => (last = Option.some(report)))),
          Effect.tap(measureRecovery),
          Effect.ensuring(oneAtATime.release(1)),
          Effect.forkIn(scope),
        ),
      ),
      Effect.flatMap((replaying) => restore(Fiber.join(replaying))),
    ),
  )
  return Replayer.of({
    replayDeployments: carriedOut.pipe(
      Effect.provideContext(context),
      Effect.withSpan("Replayer.replayDeployments"),
    ),
    recoveryReport: Effect.sync(() => last),
  })
})

/** The replayer. */
export const layerReplayer = Layer.effect(Replayer, make)
