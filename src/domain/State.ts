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
export interface Killed {
  readonly _tag: "Killed"
  readonly name: ServiceName
  readonly revision: number
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

/** The state after `event`. */
export const evolve = (state: State, event: Event): State => {
  const name = nameOf(event)
  if (name === undefined) return state
  switch (event.type) {
    case "service_deployed": {
      const { revision, spec } = event.payload
      const fact: ServiceFact = {
        _tag: "Deployed",
        name,
        revision,
        spec,
        deployedAt: event.time,
        eventId: event.id,
      }
      return { services: HashMap.set(state.services, serviceKey(name), fact) }
    }
    case "service_killed": {
      const fact: ServiceFact = { _tag: "Killed", name, revision: event.payload.revision }
      return { services: HashMap.set(state.services, serviceKey(name), fact) }
    }
    default:
      return state
  }
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
