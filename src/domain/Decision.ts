/**
 * What follows from a command in a given situation: pure, so that every case can be seen and
 * tested at once. Carrying a decision out is the deployer's business.
 */
import { isUp, type ServiceStatus } from "./Service.ts"
import { isSameSpec, type LoggedSpec } from "./ServiceSpec.ts"
import type { Revision, ServiceFact } from "./State.ts"

/** The service as it runs, if it does. */
export interface Current {
  readonly status: ServiceStatus
  readonly revision: number
  readonly spec: LoggedSpec
}

/** What to do about a deployment. */
export type DeployDecision =
  /** The identical spec runs: answer as if it had just been deployed. */
  | { readonly _tag: "Unchanged" }
  /** Another spec runs: refuse. */
  | { readonly _tag: "Conflict"; readonly revision: number }
  /** The identical spec is a fact but does not run: start it again, with nothing new to log. */
  | { readonly _tag: "StartAgain"; readonly revision: number }
  /** Start it and log it as this revision. */
  | { readonly _tag: "Deploy"; readonly revision: number }

/** Decides a deployment of `spec`, given the latest fact and what runs. */
export const decideDeploy = (
  fact: ServiceFact | undefined,
  current: Current | undefined,
  spec: LoggedSpec,
): DeployDecision => {
  // What runs and is not what the log says is no reason to leave things as they are.
  const logged = fact?._tag === "Deployed" && fact.revision === current?.revision
  if (current !== undefined && logged && isUp(current)) {
    return isSameSpec(current.spec, spec)
      ? { _tag: "Unchanged" }
      : { _tag: "Conflict", revision: current.revision }
  }
  if (fact?._tag === "Deployed" && isSameSpec(fact.spec, spec)) {
    return { _tag: "StartAgain", revision: fact.revision }
  }
  return { _tag: "Deploy", revision: (fact?.highest ?? 0) + 1 }
}

/** What to do about a request to swap. */
export type SwapDecision =
  /** There is nothing to swap. */
  | { readonly _tag: "NotFound" }
  /** The identical spec runs. */
  | { readonly _tag: "Unchanged" }
  /** The identical spec is a fact but does not run: start it again, with nothing new to log. */
  | { readonly _tag: "StartAgain" }
  /** Start it beside what there is, as revision `to`. */
  | { readonly _tag: "Swap"; readonly from: number; readonly to: number }

/** Decides a swap to `spec`, given the latest fact and what runs. */
export const decideSwap = (
  fact: ServiceFact | undefined,
  current: Current | undefined,
  spec: LoggedSpec,
): SwapDecision => {
  if (fact?._tag !== "Deployed") return { _tag: "NotFound" }
  if (!isSameSpec(fact.spec, spec)) {
    return { _tag: "Swap", from: fact.revision, to: fact.highest + 1 }
  }
  return isUp(current) && current?.revision === fact.revision
    ? { _tag: "Unchanged" }
    : { _tag: "StartAgain" }
}

/** What to do about a request to roll back. */
export type RollbackDecision =
  | { readonly _tag: "NotFound" }
  /** It has been nothing else since it was last killed. */
  | { readonly _tag: "NoPrevious" }
  /** Swap back to what it was. */
  | { readonly _tag: "Swap"; readonly from: number; readonly to: Revision }

/** Decides a rollback, given the latest fact. */
export const decideRollback = (fact: ServiceFact | undefined): RollbackDecision => {
  if (fact?._tag !== "Deployed") return { _tag: "NotFound" }
  return fact.previous === null
    ? { _tag: "NoPrevious" }
    : { _tag: "Swap", from: fact.revision, to: fact.previous }
}

/** What to do about a service that ended without being asked to. */
export type RestartDecision =
  | { readonly _tag: "Leave" }
  | { readonly _tag: "GiveUp" }
  /** Start it again after a delay. */
  | { readonly _tag: "Restart"; readonly delayMs: number }

/** Delay before the first restart, doubled for each further one within the window or in a row. */
export const firstDelayMs = 100
/** Longest delay before a restart. */
export const maxDelayMs = 10_000
/** A service that ran so long before it ended has not ended quickly. */
export const steadyMs = 10_000

/**
 * Decides a restart. `recent` is the number of restarts within the last `maxSeconds`: at
 * `maxRestarts` of them the service gives up (restart intensity, as in OTP's supervisor). `quick` is
 * the number of restarts in a row after which it ended within `steadyMs`: however short the window
 * is, what ends again and again is started ever more rarely.
 */
export const decideRestart = (
  spec: LoggedSpec,
  ended: "crashed" | "stopped",
  recent: number,
  quick = 0,
): RestartDecision => {
  if (spec.restart === "temporary") return { _tag: "Leave" }
  if (spec.restart === "transient" && ended === "stopped") return { _tag: "Leave" }
  if (recent >= spec.limits.maxRestarts) return { _tag: "GiveUp" }
  return {
    _tag: "Restart",
    delayMs: Math.min(maxDelayMs, firstDelayMs * 2 ** Math.max(recent, quick)),
  }
}
