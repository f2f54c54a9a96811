/**
 * The repairs, one per invariant that can be repaired without guessing. Each looks again under the
 * service's lock, changes nothing if there is nothing to repair any more, and is logged in the same
 * transaction as what it changes, so that it is done once or not at all.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

import { draft, type EventDraft } from "../../domain/Event.ts"
import type { ServiceName } from "../../domain/Identifier.ts"
import { isUpOrStarting, judgeService } from "../../domain/ServiceJudgement.ts"
import { type Deployed, factTypes } from "../../domain/State.ts"
import type { Fix, FixAction, Inconsistency } from "../../domain/VerificationReport.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { type AppendError, EventStore } from "../log/EventStore.ts"
import { Registry } from "../services/Registry.ts"
import { ServiceLogs } from "../services/ServiceLogs.ts"
import { Supervisor } from "../services/Supervisor.ts"
import { Checkpoints } from "./Checkpoints.ts"
import { DesiredState } from "./DesiredState.ts"
import { Replayer } from "./Replayer.ts"
import { type Folded, sight, underLock } from "./ServicesAudit.ts"
import { type FixOptions, VerifierChecks } from "./Verifier.ts"

/** A repair could not be made; nothing was changed. */
class NotRepaired extends Schema.TaggedError<NotRepaired>()("NotRepaired", {
  message: Schema.String,
}) {}

/** The service an inconsistency is about. */
const nameOf = ({ tenantId, serviceId }: Inconsistency): ServiceName | undefined =>
  tenantId === null || serviceId === null ? undefined : { tenantId, serviceId }

/** Logs a repair behind the facts it consists of, and moves the state in memory on by those. */
const apply = Effect.fnUntraced(function* (
  found: Inconsistency,
  action: FixAction,
  detail: string,
  facts: ReadonlyArray<EventDraft> = [],
) {
  const desired = yield* DesiredState
  const store = yield* EventStore
  const { invariant, tenantId, serviceId } = found
  const fixed = draft("auto_fix_applied", { invariant, action, detail }, nameOf(found) ?? {})
  const [first, ...rest] = [...facts, fixed]
  const events = yield* store.append([first!, ...rest])
  for (const event of events.slice(0, -1)) yield* desired.record(event)
  yield* Effect.logWarning("repaired").pipe(Effect.annotateLogs({ invariant, action, detail }))
  const fix: Fix = { invariant, action, tenantId, serviceId, detail, eventId: events.at(-1)!.id }
  return { fix, facts: events.slice(0, -1) }
})

const markKilled = (found: Inconsistency, fact: Deployed, why: string) => {
  const payload = { revision: fact.revision, force: false }
  return apply(found, "marked_killed", why, [draft("service_killed", payload, fact.name)])
}

/** Takes away what is there of a service that must not be. */
const remove = Effect.fnUntraced(function* (name: ServiceName) {
  const registry = yield* Registry
  const child = registry.get(name)
  if (child === undefined) return
  yield* (yield* Supervisor).stop(child, { force: false })
  registry.remove(child)
  yield* (yield* ServiceLogs).close(name)
})

const fixMemory = Effect.fnUntraced(function* (found: Inconsistency, name: ServiceName) {
  const store = yield* EventStore
  const desired = yield* DesiredState
  // Every one of them: what an event means may depend on those before it.
  const latest = yield* store
    .stream({ ...name, types: factTypes })
    .pipe(Stream.tap(desired.record), Stream.runLast)
  if (Option.isNone(latest))
    return yield* new NotRepaired({ message: "the log has no fact about it" })
  return (yield* apply(found, "reread", `event ${latest.value.id} counts`)).fix
})

const fixOrphan = Effect.fnUntraced(function* (found: Inconsistency, name: ServiceName) {
  const child = (yield* Registry).get(name)
  if (child === undefined) return yield* new NotRepaired({ message: "it is gone" })
  const { revision, spec } = child
  const { fix, facts } = yield* apply(found, "logged", `revision ${revision} is in the log now`, [
    draft("service_deployed", { revision, spec }, name),
  ])
  child.deployedAt = facts[0]!.time
  return fix
})

const fixUndead = Effect.fnUntraced(function* (found: Inconsistency, name: ServiceName) {
  const { fix } = yield* apply(found, "stopped", "it was killed before, and is stopped now")
  yield* remove(name)
  return fix
})

const fixLostSource = Effect.fnUntraced(function* (
  found: Inconsistency,
  name: ServiceName,
  base: Folded,
) {
  const artifacts = yield* ArtifactStore
  const { logged, present } = yield* sight(name, base)
  if (logged?._tag !== "Deployed" || (present !== undefined && isUpOrStarting(present)))
    return undefined
  const loaded = yield* Effect.result(artifacts.load(logged.spec.artifact))
  if (loaded._tag === "Success") return undefined
  if (loaded.failure._tag === "StorageError") return yield* loaded.failure
  const { fix } = yield* markKilled(found, logged, loaded.failure.message)
  yield* remove(name)
  return fix
})

const fixMissing = Effect.fnUntraced(function* (
  found: Inconsistency,
  name: ServiceName,
  base: Folded,
) {
  const { logged } = yield* sight(name, base)
  if (logged?._tag !== "Deployed") return undefined
  return (yield* markKilled(found, logged, "it was not there, and was to be given up")).fix
})

/** Repairs one service, if what was found is still so. */
const fixService = Effect.fnUntraced(function* (
  found: Inconsistency,
  name: ServiceName,
  base: Folded,
) {
  if (found.invariant === "artifact_intact") return yield* fixLostSource(found, name, base)
  const now = judgeService(yield* sight(name, base))
  if (!now.some((one) => one.invariant === found.invariant && one.fixable)) return undefined
  switch (found.invariant) {
    case "memory_is_fold":
      return yield* fixMemory(found, name)
    case "service_has_event":
      return yield* fixOrphan(found, name)
    case "killed_stays_killed":
      return yield* fixUndead(found, name)
    case "event_has_service":
      return yield* fixMissing(found, name, base)
    default:
      return undefined
  }
})

/** What became of one inconsistency: a fix, a reason why there is none, or nothing to do. */
export interface Repaired {
  readonly found: Inconsistency
  readonly fix?: Fix | undefined
  readonly reason?: string | undefined
}

const settle = <R>(
  found: Inconsistency,
  fix: Effect.Effect<Fix | undefined, AppendError | NotRepaired, R>,
): Effect.Effect<Repaired, never, R> =>
  fix.pipe(
    Effect.map((done): Repaired => ({ found, fix: done })),
    Effect.catch((error) => Effect.succeed<Repaired>({ found, reason: error.message })),
  )

/** Brings back every missing service with one recovery. */
const redeploy = Effect.fnUntraced(function* (missing: ReadonlyArray<Inconsistency>) {
  const { services } = yield* (yield* Replayer).replayDeployments
  const results: Array<Repaired> = []
  for (const found of missing) {
    const outcome = services.find(
      (one) => one.tenantId === found.tenantId && one.serviceId === found.serviceId,
    )
    if (outcome?.outcome === "recovered") {
      const detail = `revision ${outcome.revision} is back`
      results.push(
        yield* settle(
          found,
          Effect.map(apply(found, "redeployed", detail), ({ fix }) => fix),
        ),
      )
    } else if (outcome?.outcome === "failed") {
      results.push({ found, reason: outcome.reason ?? "it could not be brought back" })
    }
  }
  return results
})

const rebuildCheckpoints = Effect.fnUntraced(function* (found: Inconsistency) {
  yield* (yield* Checkpoints).rebuild
  return (yield* apply(found, "rebuilt", "checkpoints were dropped and taken anew")).fix
})

const fixRegistered = Effect.fnUntraced(function* (found: Inconsistency) {
  const check = (yield* VerifierChecks)
    .all()
    .find(({ name }) => found.invariant === name || found.invariant.startsWith(`${name}_`))
  const detail = yield* Effect.mapError(
    check?.fix?.(found) ?? Effect.undefined,
    ({ message }) => new NotRepaired({ message }),
  )
  return detail === undefined ? undefined : (yield* apply(found, "repaired", detail)).fix
})

/** What is repaired first: a later repair may depend on an earlier one. */
const order: ReadonlyArray<string> = [
  "memory_is_fold",
  "killed_stays_killed",
  "service_has_event",
  "artifact_intact",
]

const isServiceInvariant = (invariant: string) =>
  order.includes(invariant) || invariant === "event_has_service"

const rank = ({ invariant }: Inconsistency) =>
  order.includes(invariant) ? order.indexOf(invariant) : order.length

/** Repairs whatever of `inconsistencies` can be, given the log folded up to `base`. */
export const repair = Effect.fnUntraced(function* (
  inconsistencies: ReadonlyArray<Inconsistency>,
  base: Folded,
  options: FixOptions,
) {
  const results: Array<Repaired> = []
  const missing: Array<Inconsistency> = []
  const fixable = inconsistencies.filter((one) => one.fixable)
  for (const found of fixable.sort((left, right) => rank(left) - rank(right))) {
    const name = nameOf(found)
    if (found.invariant === "event_has_service" && options.missingServices !== "kill") {
      missing.push(found)
    } else if (found.invariant === "checkpoint_is_fold") {
      results.push(yield* settle(found, rebuildCheckpoints(found)))
    } else if (name !== undefined && isServiceInvariant(found.invariant)) {
      const fix = Effect.flatMap(
        underLock(name)(Effect.uninterruptible(fixService(found, name, base))),
        (done) =>
          Effect.mapError(
            Effect.fromOption(done),
            () => new NotRepaired({ message: "the service is busy" }),
          ),
      )
      results.push(yield* settle(found, fix))
    } else {
      results.push(yield* settle(found, fixRegistered(found)))
    }
  }
  const left = missing.filter(
    (found) =>
      !results.some(
        ({ fix }) =>
          fix?.action === "marked_killed" &&
          fix.tenantId === found.tenantId &&
          fix.serviceId === found.serviceId,
      ),
  )
  if (left.length > 0) results.push(...(yield* redeploy(left)))
  return results
})
