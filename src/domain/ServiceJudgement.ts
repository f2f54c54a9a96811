/**
 * Whether one service is as it must be, given what the log says, what the kernel remembers of the
 * log, and what is there. Pure, so that every case can be seen and tested at once; seeing all three
 * at one moment, and repairing, is the kernel's business.
 */
import type { ServiceName } from "./Identifier.ts"
import { isUp, type ServiceStatus } from "./Service.ts"
import { isSameSpec, type LoggedSpec } from "./ServiceSpec.ts"
import type { ServiceFact } from "./State.ts"
import { type Inconsistency, inconsistency } from "./VerificationReport.ts"

/** A service that is there. */
export interface Present {
  readonly status: ServiceStatus
  readonly revision: number
  readonly spec: LoggedSpec
}

/** One service from three sides. */
export interface Sighting {
  readonly name: ServiceName
  /** The latest fact in the log. */
  readonly logged: ServiceFact | undefined
  /** The latest fact in the kernel's memory. */
  readonly remembered: ServiceFact | undefined
  /** What supervision has. */
  readonly present: Present | undefined
}

/** Whether a service is up, or on its way there. */
export const isUpOrStarting = (present: Present): boolean =>
  isUp(present) || present.status === "starting"

const say = (fact: ServiceFact | undefined): string =>
  fact === undefined
    ? "nothing"
    : `${fact._tag === "Deployed" ? "deployed" : "killed"} (revision ${fact.revision})`

const isSameFact = (left: ServiceFact | undefined, right: ServiceFact | undefined): boolean =>
  left === undefined || right === undefined
    ? left === right
    : left._tag === right._tag &&
      left.revision === right.revision &&
      left.highest === right.highest &&
      (left._tag === "Killed" || right._tag === "Killed" || left.eventId === right.eventId)

/**
 * Whether the log has moved on from what is remembered, rather than lost some of it: the highest
 * revision only grows, a kill keeps the revision it ends, and a rollback is a later event.
 */
const isLater = (logged: ServiceFact | undefined, remembered: ServiceFact | undefined): boolean => {
  if (logged === undefined) return false
  if (remembered === undefined) return true
  if (logged.highest !== remembered.highest) return logged.highest > remembered.highest
  if (logged.revision !== remembered.revision) return logged.eventId > remembered.eventId
  return logged._tag === "Killed" && remembered._tag === "Deployed"
}

const judgeMemory = ({ name, logged, remembered, present }: Sighting) => {
  if (isSameFact(logged, remembered)) return []
  // A service that is there and was remembered gets its lost event back: memory follows.
  if (logged === undefined && present !== undefined && remembered?._tag === "Deployed") return []
  const detail = `the log says ${say(logged)}, the kernel remembers ${say(remembered)}`
  return [inconsistency("memory_is_fold", detail, { name, fixable: isLater(logged, remembered) })]
}

const judgeOrphan = ({ name, remembered, present }: Sighting) => {
  if (present === undefined) return []
  // What was killed and has lost its kill in the log must not be logged back to life.
  const fixable = isUpOrStarting(present) && remembered?._tag !== "Killed"
  const detail = `revision ${present.revision} is ${present.status} without a service_deployed`
  return [inconsistency("service_has_event", detail, { name, fixable })]
}

/** Everything about one service that is not as it must be. */
export const judgeService = (sighting: Sighting): ReadonlyArray<Inconsistency> => {
  const { name, logged, present } = sighting
  const found = judgeMemory(sighting)
  if (logged === undefined) return [...found, ...judgeOrphan(sighting)]
  if (logged._tag === "Killed") {
    if (present === undefined) return found
    const detail = `revision ${present.revision} is ${present.status} after its service_killed`
    const fixable = found.every((one) => one.fixable)
    return [...found, inconsistency("killed_stays_killed", detail, { name, fixable })]
  }
  const where = { name, eventId: logged.eventId }
  if (present === undefined) {
    // When the log has lost what came after, to bring it back might raise the dead.
    const fixable = found.every((one) => one.fixable)
    const detail = `revision ${logged.revision} was deployed and is not there`
    return [...found, inconsistency("event_has_service", detail, { ...where, fixable })]
  }
  if (present.revision === logged.revision && isSameSpec(present.spec, logged.spec)) return found
  const detail =
    present.revision === logged.revision
      ? `revision ${present.revision} is ${present.status} with another spec than was deployed`
      : `revision ${present.revision} is ${present.status}, revision ${logged.revision} was deployed`
  return [...found, inconsistency("service_is_as_deployed", detail, where)]
}
