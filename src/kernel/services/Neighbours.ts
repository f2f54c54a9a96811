/**
 * Requests from a service to another one of its tenant: through the same door as those from
 * outside, with the same answers, and with an end to calls in circles.
 *
 * The tenant is never part of a request: it is the sender's (promise 6).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

import { ServiceId, serviceKey, type ServiceName } from "../../domain/Identifier.ts"
import { Ingress, type IngressError } from "./Ingress.ts"
import { FetchFailed, type Sender } from "./Outbound.ts"
import type { HeadTooLarge, OutgoingRequest, OutgoingResponse } from "./Runtime.ts"

/**
 * How many services may wait for each other in a row. Who called whom inside a service nobody can
 * know, so each of its calls counts as deep as the deepest that it is answering.
 */
export const maxCallDepth = 16

/** Calls that one service is answering, by their depth. */
class Depths {
  readonly #calls = new Map<string, Map<number, number>>()

  /** The depth of the next call that a service makes. */
  next({ name }: Sender): number {
    return 1 + Math.max(0, ...(this.#calls.get(serviceKey(name))?.keys() ?? []))
  }

  enter(name: ServiceName, depth: number): void {
    const key = serviceKey(name)
    const calls = this.#calls.get(key) ?? new Map<number, number>()
    this.#calls.set(key, calls.set(depth, (calls.get(depth) ?? 0) + 1))
  }

  leave(name: ServiceName, depth: number): void {
    const key = serviceKey(name)
    const calls = this.#calls.get(key)
    const left = (calls?.get(depth) ?? 0) - 1
    if (left > 0) calls?.set(depth, left)
    else calls?.delete(depth)
    if (calls?.size === 0) this.#calls.delete(key)
  }
}

interface Refusal {
  readonly status: number
  readonly problem: string
  readonly title: string
}

/** What the gateway would answer as well. */
const refusals: Readonly<Record<Exclude<IngressError, HeadTooLarge>["_tag"], Refusal>> = {
  ServiceNotFound: { status: 404, problem: "service-not-found", title: "No such service" },
  ServiceThrew: { status: 502, problem: "service-failed", title: "The service failed" },
  NotRunning: {
    status: 503,
    problem: "service-not-running",
    title: "The service is not running",
  },
  Overloaded: { status: 503, problem: "service-overloaded", title: "The service is overloaded" },
  RequestTimedOut: {
    status: 504,
    problem: "service-timed-out",
    title: "The service took too long",
  },
}

const inCircles: Refusal = {
  status: 508,
  problem: "called-in-circles",
  title: "Too many services wait for each other",
}

const refusalOf = (error: Exclude<IngressError, HeadTooLarge>): Refusal =>
  error._tag === "NotRunning" && error.undelivered !== true
    ? refusals.ServiceThrew
    : refusals[error._tag]

const refuse = ({ problem, status, title }: Refusal, detail: string): OutgoingResponse => {
  const type = `urn:solo:problem:${problem}`
  const text = JSON.stringify({ type, title, status, detail })
  const retry = status === 503 ? [["retry-after", "1"] as const] : []
  return {
    status,
    headers: [["content-type", "application/problem+json"], ...retry],
    body: Stream.succeed(new TextEncoder().encode(text)),
  }
}

const isServiceId = Schema.is(ServiceId)

/** Whether a spec lets a service call another one. */
const isGranted = ({ services }: Sender["spec"], id: string): boolean =>
  services.includes(id) || services.includes("*")

/** How a sender calls its neighbours. Which are refused is told to `denied`. */
export const makeNeighbours = Effect.fnUntraced(function* (
  denied: (sender: Sender, destination: string, reason: string) => void,
) {
  const ingress = yield* Ingress
  const depths = new Depths()

  return Effect.fnUntraced(function* (sender: Sender, to: string, request: OutgoingRequest) {
    if (!isServiceId(to)) return yield* new FetchFailed({ message: "this is no id of a service" })
    if (!isGranted(sender.spec, to)) {
      denied(sender, `service:${to}`, "not in the spec")
      return yield* new FetchFailed({
        message: `this service's spec does not name ${to} under services`,
      })
    }
    const name = { tenantId: sender.name.tenantId, serviceId: to }
    const depth = depths.next(sender)
    if (depth > maxCallDepth)
      return refuse(inCircles, `at most ${maxCallDepth} services may wait for each other in a row`)
    yield* Effect.acquireRelease(
      Effect.sync(() => depths.enter(name, depth)),
      () => Effect.sync(() => depths.leave(name, depth)),
    )
    const { body, headers, method, url } = request
    const response = yield* Effect.result(ingress.request(name, { method, url, headers, body }))
    if (Result.isSuccess(response)) return response.success
    const error = response.failure
    if (error._tag === "HeadTooLarge") return yield* new FetchFailed({ message: error.message })
    return refuse(refusalOf(error), error.message)
  })
})
