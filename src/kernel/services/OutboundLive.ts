/**
 * Outbound at work: bounds what every sender, tenant and the kernel have under way, and sends each
 * request where it is to go.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

import { draft } from "../../domain/Event.ts"
import { mayHaveBody } from "../../domain/Http.ts"
import { serviceKey, type TenantId } from "../../domain/Identifier.ts"
import { withoutTokens } from "../../domain/Token.ts"
import { makeRecorder } from "../log/Recorder.ts"
import { makeAbroad } from "./Abroad.ts"
import { makeNeighbours } from "./Neighbours.ts"
import {
  callBurst,
  callsPerSecond,
  FetchFailed,
  journeyBurst,
  journeysPerSecond,
  maxErrandBytes,
  maxErrands,
  maxErrandsPerTenant,
  Outbound,
  type Sender,
} from "./Outbound.ts"
import { passing, passingOut } from "./OutboundHeaders.ts"
import { RateLimit } from "./RateLimit.ts"
import type { OutgoingRequest, OutgoingResponse } from "./Runtime.ts"

/** Refused requests recorded per service and minute. */
const maxDenialsRecorded = 10

/** Counts what is under way; taking a place is synchronous, so that nothing slips between. */
class Places {
  readonly #ofTenant = new Map<TenantId, number>()
  #all = 0

  /** Takes a place, or says why there is none. */
  take(tenantId: TenantId): string | undefined {
    const own = this.#ofTenant.get(tenantId) ?? 0
    // Never more of one tenant than places are still free: a few cannot lock out the others.
    if (own >= Math.min(maxErrandsPerTenant, maxErrands - this.#all))
      return `the tenant's services have ${own} requests under way, as many as they may now`
    this.#ofTenant.set(tenantId, own + 1)
    this.#all++
    return undefined
  }

  release(tenantId: TenantId): void {
    const left = this.#ofTenant.get(tenantId)! - 1
    if (left > 0) this.#ofTenant.set(tenantId, left)
    else this.#ofTenant.delete(tenantId)
    this.#all--
  }
}

type Body = OutgoingRequest["body"]

/** Fails a body that grows beyond its bound. */
const limited = (body: Body, what: string): Body => {
  if (body === null) return null
  let left = maxErrandBytes
  return Stream.tap(body, (piece) =>
    (left -= piece.length) < 0
      ? Effect.fail(new FetchFailed({ message: `the ${what} is larger than 1 GiB` }))
      : Effect.void,
  )
}

/** The response as its service may have it. */
const delivered = (request: OutgoingRequest, response: OutgoingResponse): OutgoingResponse => ({
  status: response.status,
  headers: passing(response.headers),
  body: mayHaveBody(request.method, response.status) ? limited(response.body, "response") : null,
})

const make = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const denials = yield* makeRecorder(maxDenialsRecorded)
  const denied = ({ name }: Sender, destination: string, reason: string): void =>
    denials.record([name.tenantId, name.serviceId].join("/"), (unrecorded) =>
      draft("fetch_denied", { destination: withoutTokens(destination), reason, unrecorded }, name),
    )
  const callNeighbour = yield* makeNeighbours(denied)
  const goAbroad = yield* makeAbroad(denied)
  const places = new Places()
  const now = () => clock.currentTimeMillisUnsafe()
  const calls = new RateLimit<string>(callBurst, callsPerSecond, now)
  const journeys = new RateLimit<TenantId>(journeyBurst, journeysPerSecond, now)

  const takePlace = Effect.fnUntraced(function* ({ name: { tenantId } }: Sender) {
    const full = places.take(tenantId)
    if (full !== undefined) return yield* new FetchFailed({ message: full })
    yield* Effect.addFinalizer(() => Effect.sync(() => places.release(tenantId)))
  }, Effect.uninterruptible)

  return Outbound.of({
    open: (sender) =>
      Effect.fn("Outbound.send")(function* (request) {
        yield* takePlace(sender)
        const wait =
          request.to === null
            ? journeys.take(sender.name.tenantId)
            : calls.take(serviceKey(sender.name))
        if (wait > 0) yield* Effect.sleep(wait)
        const outgoing = {
          ...request,
          headers: passingOut(request.headers),
          body: limited(request.body, "request"),
        }
        const response =
          request.to === null
            ? yield* goAbroad(sender, outgoing)
            : yield* callNeighbour(sender, request.to, outgoing)
        return delivered(request, response)
      }),
  })
})

/** The way out for services of this kernel. */
export const layerOutbound = Layer.effect(Outbound, make)
