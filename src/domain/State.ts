/**
 * What the log says should be: the pure fold of all events. Only the latest fact about a service
 * counts (promise 2). What really runs is the registry's business.
 */
import * as HashMap from "effect/HashMap"

import type { Event, EventOf, EventType } from "./Event.ts"
import { serviceKey, type ServiceName } from "./Identifier.ts"
import type { LoggedSpec } from "./ServiceSpec.ts"

/** One spec that a service has, or had. */
export interface Revision {
  readonly revision: number
  readonly spec: LoggedSpec
}

interface Known {
  readonly name: ServiceName
  /** The highest revision ever used: the next one counts on from it. */
  readonly highest: number
  /** Id of the newest event that says anything about the service. */
  readonly latestId: number
}

/** A service that should run. */
export interface Deployed extends Known, Revision {
  readonly _tag: "Deployed"
  /** Time and id of the event that made it this revision. */
  readonly deployedAt: string
  readonly eventId: number
  /** What it was before, if it has been anything since it was last killed. */
  readonly previous: Revision | null
  /** The revision that a swap was begun to and of which the log does not tell the end. */
  readonly swappingTo: number | null
}

/** A service that must not run. Its revision is kept: the next deployment counts on. */
interface Killed extends Known {
  readonly _tag: "Killed"
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
  "hot_swap_started",
  "hot_swap_succeeded",
  "hot_swap_rolled_back",
  "hot_swap_failed",
] as const satisfies ReadonlyArray<EventType>

const nameOf = (event: Event): ServiceName | undefined =>
  event.tenantId === null || event.serviceId === null
    ? undefined
    : { tenantId: event.tenantId, serviceId: event.serviceId }

const becomes = (
  { id, time, payload }: EventOf<"service_deployed"> | EventOf<"hot_swap_succeeded">,
  name: ServiceName,
  known: ServiceFact | undefined,
): Deployed => {
  const { revision, spec } = payload
  return {
    _tag: "Deployed",
    name,
    revision,
    spec,
    deployedAt: time,
    eventId: id,
    latestId: id,
    highest: Math.max(known?.highest ?? 0, revision),
    previous:
      known?._tag === "Deployed" && known.revision !== revision
        ? { revision: known.revision, spec: known.spec }
        : null,
    swappingTo: null,
  }
}

/** The fact after `event`; `undefined` if it says nothing about what should be. */
const factFrom = (
  event: Event,
  name: ServiceName,
  known: ServiceFact | undefined,
): ServiceFact | undefined => {
  const latestId = event.id
  switch (event.type) {
    case "service_deployed":
    case "hot_swap_succeeded":
      return becomes(event, name, known)
    case "service_killed": {
      const { revision } = event.payload
      const highest = Math.max(known?.highest ?? 0, revision)
      return { _tag: "Killed", name, revision, eventId: latestId, latestId, highest }
    }
    case "hot_swap_started": {
      if (known?._tag !== "Deployed") return undefined
      const { to } = event.payload
      return { ...known, highest: Math.max(known.highest, to), swappingTo: to, latestId }
    }
    case "hot_swap_rolled_back":
    case "hot_swap_failed":
      return known?._tag === "Deployed" && known.swappingTo === event.payload.to
        ? { ...known, swappingTo: null, latestId }
        : undefined
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
  if (name === undefined) return state
  const known = factOf(state, name)
  if (known !== undefined && known.latestId >= event.id) return state
  const fact = factFrom(event, name, known)
  if (fact === undefined) return state
  return { services: HashMap.set(state.services, serviceKey(name), fact) }
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
