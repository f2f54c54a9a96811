/**
 * Which services must run after any sequence of requests: a pure model of deploy, kill, swap and
 * rollback.
 */
import * as Schema from "effect/Schema"

import { after, know, type Outcome, type Possible, witnessed } from "./Possible.ts"

const place = { tenant: Schema.Literals(["t1", "t2"]), service: Schema.Literals(["a", "b"]) }
const source = Schema.Literals([1, 2])

/** Deploys source `n` of a service: the same, or another, than what may run already. */
export const Deploy = Schema.Struct({ do: Schema.Literal("deploy"), ...place, n: source })
/** Kills a service. */
export const Kill = Schema.Struct({ do: Schema.Literal("kill"), ...place })
/** Swaps a service for source `n`. */
export const Swap = Schema.Struct({ do: Schema.Literal("swap"), ...place, n: source })
/** Swaps a service back to the source before. */
export const Rollback = Schema.Struct({ do: Schema.Literal("rollback"), ...place })

/** Something a tenant asks for a service. */
export type ServiceRequest =
  | typeof Deploy.Type
  | typeof Kill.Type
  | typeof Swap.Type
  | typeof Rollback.Type

/** What such a request came to when it was carried out. */
export interface Changed {
  readonly _tag: "Changed"
  readonly created: boolean
  readonly revision: number
}

type Source = 1 | 2

/** What may be seen of one service: the source that runs, or that none does. */
export type Want = Source | "none"

/** What may be true of one service. */
export interface Situation {
  readonly runs: Want
  /** What a rollback brings back. */
  readonly previous: Source | null
}

const gone: Situation = { runs: "none", previous: null }

/** What is known of services, by `tenant/service`. */
export type Services = Possible<Situation>

const situationsOf = (services: Services, key: string): ReadonlyArray<Situation> =>
  services.situations.get(key) ?? [gone]

/** What may be seen of a service. */
export const wantsOf = (services: Services, key: string): ReadonlyArray<Want> =>
  situationsOf(services, key).map(({ runs }) => runs)

const turnTo = ({ runs, previous }: Situation, n: Source): Situation => ({
  runs: n,
  previous: runs === "none" ? null : runs === n ? previous : runs,
})

const outcomeOf = (request: ServiceRequest, now: Situation): Outcome<Situation> => {
  if (request.do === "deploy") {
    const conflicts = now.runs !== "none" && now.runs !== request.n
    return conflicts
      ? { answer: "Conflict", after: now }
      : { answer: "Changed", after: turnTo(now, request.n) }
  }
  if (now.runs === "none") return { answer: "NotFound", after: now }
  switch (request.do) {
    case "kill":
      return { answer: "Changed", after: gone }
    case "swap":
      return { answer: "Changed", after: turnTo(now, request.n) }
    case "rollback":
      return now.previous === null
        ? { answer: "NoPrevious", after: now }
        : { answer: "Changed", after: { runs: now.previous, previous: now.runs } }
  }
}

const situationsAfter = (
  before: ReadonlyArray<Situation>,
  request: ServiceRequest,
  answer: Changed | { readonly _tag: string },
): ReadonlyArray<Situation> => {
  if (request.do !== "deploy" || !("created" in answer)) {
    return after(before, (now) => outcomeOf(request, now), answer._tag)
  }
  // What the log has and nobody could start is replaced without a conflict.
  const from = before.filter(({ runs }) => (runs === request.n) !== answer.created)
  return from.map((now) => turnTo(now, request.n))
}

/** What is known of services after `request` was answered. */
export const servicesAfter = (
  services: Services,
  request: ServiceRequest,
  answer: Changed | { readonly _tag: string },
  because: string,
): Services => {
  const key = `${request.tenant}/${request.service}`
  const before = situationsOf(services, key)
  return know(services, key, before, situationsAfter(before, request, answer), because)
}

/** What the log must have of a request that was carried out. */
export const factOf = (request: ServiceRequest, { created, revision }: Changed) => {
  const subject = `${request.tenant}/${request.service}@${revision}`
  if (request.do === "deploy") return created ? [`deployed ${subject}`] : []
  return [`${request.do === "kill" ? "killed" : "is"} ${subject}`]
}

/** What is known once it was seen which sources run, by service key. */
export const servicesSeen = (services: Services, running: ReadonlyMap<string, Want>): Services =>
  witnessed(services, (key, { runs }) => runs === (running.get(key) ?? "none"))
