/**
 * What the log says should be: the pure fold of all events. Only the latest fact about a service
 * counts (promise 2). What really runs is the registry's business.
 */
import * as HashMap from "effect/HashMap"

import type { Event, EventType } from "./Event.ts"
import { serviceKey, type ServiceName } from "./Identifier.ts"
import type { LoggedSpec } from "./ServiceSpec.ts"

/** A service that should run. */
export interface Deployed {
  readonly _tag: "Deployed"
  readonly name: ServiceName
  readonly revision: number
  readonly spec: LoggedSpec
  /** Time and id of the event that deployed it. */
  readonly deployedAt: string
  readonly eventId: number
}

/** A service that must not run. Its revision is kept: the next deployment counts on. */
interface Killed {
  readonly _tag: "Killed"
  readonly name: ServiceName
  readonly revision: number
  /** Id of the event that killed it. */
  readonly eventId: number
}

/** The latest fact about one service. */
export type ServiceFact = Deployed | Killed

/** The latest fact about every service there ever was, by service key. */
export interface State {
  readonly services: HashMap.HashMap<string, ServiceFact>
}

/** Before the first event. */
export const empty: State = { services: HashMap.empty() }

/** The types of event that `evolve` looks at; the fold may skip all others. */
export const factTypes = [
  "service_deployed",
  "service_killed",
] as const satisfies ReadonlyArray<EventType>

const nameOf = (event: Event): ServiceName | undefined =>
  event.tenantId === null || event.serviceId === null
    ? undefined
    : { tenantId: event.tenantId, serviceId: event.serviceId }

const factFrom = (event: Event, name: ServiceName): ServiceFact | undefined => {
  const eventId = event.id
  switch (event.type) {
    case "service_deployed": {
      const { revision, spec } = event.payload
      return { _tag: "Deployed", name, revision, spec, deployedAt: event.time, eventId }
    }
    case "service_killed":
      return { _tag: "Killed", name, revision: event.payload.revision, eventId }
    default:
      return undefined
  }
}

/**
 * The state after `event`. An event older than what is known of its service changes nothing, so
 * events may be folded again, and again in parts.
 */
export const evolve = (state: State, event: Event): State => {
  const name = nameOf(event)
  const fact = name === undefined ? undefined : factFrom(event, name)
  if (fact === undefined) return state
  const known = factOf(state, fact.name)
  if (known !== undefined && known.eventId >= fact.eventId) return state
  return { services: HashMap.set(state.services, serviceKey(fact.name), fact) }
}

/** The latest fact about `name`, if it was ever deployed. */
export const factOf = (state: State, name: ServiceName): ServiceFact | undefined => {
  const fact = HashMap.get(state.services, serviceKey(name))
  return fact._tag === "Some" ? fact.value : undefined
}

/** The services that should run, in the order of their deployment. */
export const shouldRun = (state: State): ReadonlyArray<Deployed> =>
  HashMap.toValues(state.services)
    .filter((fact) => fact._tag === "Deployed")
    .sort((left, right) => left.eventId - right.eventId)
