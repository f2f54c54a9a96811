/**
 * Compares every service the log, the kernel's memory or supervision knows. What looks wrong at
 * first sight is looked at again under the service's lock, so that a deployment or kill under way
 * is never taken for an inconsistency.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

import { serviceKey, type ServiceName } from "../../domain/Identifier.ts"
import { isUpOrStarting, judgeService, type Sighting } from "../../domain/ServiceJudgement.ts"
import { evolve, factOf, factTypes, type State } from "../../domain/State.ts"
import { type Inconsistency, inconsistency } from "../../domain/VerificationReport.ts"
import { EventStore } from "../log/EventStore.ts"
import { Registry } from "../services/Registry.ts"
import { ServiceLock } from "../services/ServiceLock.ts"
import { DesiredState } from "./DesiredState.ts"

/** How long to wait for a service's lock before it counts as busy, in milliseconds. */
const lockTimeoutMs = 5000

/** Services looked at again at the same time. */
const concurrency = 64

/** Services looked at before others get their turn. */
const perStep = 256

/** The log's fold at some event: the base that later facts are added to. */
export interface Folded {
  readonly id: number
  readonly state: State
}

/** What was seen of all services together. */
export interface ServiceFigures {
  readonly servicesDeployed: number
  readonly servicesPresent: number
  readonly servicesRunning: number
  readonly servicesFailed: number
  readonly servicesKilled: number
  readonly servicesBusy: number
}

const sightingOf = Effect.fnUntraced(function* (name: ServiceName, logged: State) {
  const registry = yield* Registry
  const remembered = yield* (yield* DesiredState).get
  const sighting: Sighting = {
    name,
    logged: factOf(logged, name),
    remembered: factOf(remembered, name),
    present: registry.get(name),
  }
  return sighting
})

/** One service from three sides, now. Only true while the caller holds its lock. */
export const sight = Effect.fnUntraced(function* (name: ServiceName, base: Folded) {
  const store = yield* EventStore
  const logged = yield* store
    .stream({ ...name, types: factTypes, sinceId: base.id })
    .pipe(Stream.runFold(() => base.state, evolve))
  return yield* sightingOf(name, logged)
})

/**
 * Runs `effect` under the lock of `name`; `None` if somebody holds it for too long. The time runs
 * only for the wait: what was begun is carried to its end.
 */
export const underLock =
  (name: ServiceName) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E, R | ServiceLock> =>
    Effect.flatMap(ServiceLock, (locks) => {
      const begun = Deferred.makeUnsafe<void>()
      const work = locks.hold(name)(Effect.andThen(Deferred.succeed(begun, undefined), effect))
      const tooLong = Deferred.await(begun).pipe(
        Effect.timeoutOption(lockTimeoutMs),
        Effect.flatMap((held) => (Option.isSome(held) ? Effect.never : Effect.succeedNone)),
      )
      return Effect.raceFirst(Effect.asSome(work), tooLong)
    })

const namesIn = (
  states: ReadonlyArray<State>,
  present: Iterable<{ readonly name: ServiceName }>,
) => {
  const names = new Map<string, ServiceName>()
  for (const state of states) {
    for (const { name } of HashMap.values(state.services)) names.set(serviceKey(name), name)
  }
  for (const { name } of present) names.set(serviceKey(name), name)
  return [...names.values()]
}

const figuresOf = (sightings: ReadonlyArray<Sighting>, servicesBusy: number): ServiceFigures => {
  const present = sightings.flatMap((sighting) => sighting.present ?? [])
  const running = present.filter(isUpOrStarting).length
  return {
    servicesDeployed: sightings.filter(({ logged }) => logged?._tag === "Deployed").length,
    servicesPresent: present.length,
    servicesRunning: running,
    servicesFailed: present.length - running,
    servicesKilled: sightings.filter(({ logged }) => logged?._tag === "Killed").length,
    servicesBusy,
  }
}

const checkCounts = Effect.map(Registry, (registry): ReadonlyArray<Inconsistency> => {
  const all = registry.all()
  const tenants = new Set(all.map(({ name }) => name.tenantId))
  const byTenant = [...tenants].reduce((sum, tenantId) => sum + registry.countOf(tenantId), 0)
  if (all.length === registry.count() && all.length === byTenant) return []
  const detail = `the registry lists ${all.length} services, counts ${registry.count()}, and ${byTenant} by tenant`
  return [inconsistency("counts_match", detail)]
})

/** Audits all services against the log folded up to `base`. */
export const auditServices = Effect.fnUntraced(function* (base: Folded) {
  const registry = yield* Registry
  const remembered = yield* (yield* DesiredState).get
  const names = namesIn([base.state, remembered], registry.all())
  const sightings: Array<Sighting> = []
  const suspects: Array<ServiceName> = []
  for (const [index, name] of names.entries()) {
    const sighting = yield* sightingOf(name, base.state)
    if (judgeService(sighting).length === 0) sightings.push(sighting)
    else suspects.push(name)
    if (index % perStep === perStep - 1) yield* Effect.yieldNow
  }
  const looks = yield* Effect.forEach(suspects, (name) => underLock(name)(sight(name, base)), {
    concurrency,
  })
  const seen = looks.flatMap((look) => Option.toArray(look))
  sightings.push(...seen)
  return {
    figures: figuresOf(sightings, looks.length - seen.length),
    inconsistencies: [...seen.flatMap(judgeService), ...(yield* checkCounts)],
  }
})
