/**
 * Outbound at work: bounds what every sender, tenant and the kernel have under way, and sends each
 * request where it is to go.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

import { draft } from "../../domain/Event.ts"
import type { TenantId } from "../../domain/Identifier.ts"
import { makeRecorder } from "../log/Recorder.ts"
import { makeAbroad } from "./Abroad.ts"
import { makeNeighbours } from "./Neighbours.ts"
import {
  errandBurst,
  errandsPerSecond,
  FetchFailed,
  maxErrandBytes,
  maxErrands,
  maxErrandsPerTenant,
  Outbound,
  type Sender,
} from "./Outbound.ts"
import { passing } from "./OutboundHeaders.ts"
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
    if (own >= maxErrandsPerTenant)
      return `the tenant's services have ${maxErrandsPerTenant} requests under way, and that is all they may`
    if (this.#all >= maxErrands) return "too many requests of all services are under way"
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

/** How long, in milliseconds, the next request of one sender has to wait for its turn. */
const makeTurns = (now: () => number) => {
  let left = errandBurst
  let last = now()
  return (): number => {
    const time = now()
    left = Math.min(errandBurst, left + (Math.max(0, time - last) * errandsPerSecond) / 1000)
    last = time
    left--
    return left >= 0 ? 0 : Math.ceil((-left * 1000) / errandsPerSecond)
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

const bodiless = new Set([204, 205, 304])

/** The response as its service may have it. */
const delivered = (request: OutgoingRequest, response: OutgoingResponse): OutgoingResponse => ({
  status: response.status,
  headers: passing(response.headers),
  body:
    request.method === "HEAD" || bodiless.has(response.status)
      ? null
      : limited(response.body, "response"),
})

const make = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const denials = yield* makeRecorder(maxDenialsRecorded)
  const denied = ({ name }: Sender, destination: string, reason: string): void =>
    denials.record([name.tenantId, name.serviceId].join("/"), (unrecorded) =>
      draft("fetch_denied", { destination, reason, unrecorded }, name),
    )
  const callNeighbour = yield* makeNeighbours(denied)
  const goAbroad = yield* makeAbroad(denied)
  const places = new Places()

  const takePlace = Effect.fnUntraced(function* ({ name: { tenantId } }: Sender) {
    const full = places.take(tenantId)
    if (full !== undefined) return yield* new FetchFailed({ message: full })
    yield* Effect.addFinalizer(() => Effect.sync(() => places.release(tenantId)))
  }, Effect.uninterruptible)

  return Outbound.of({
    open: (sender) => {
      const turn = makeTurns(() => clock.currentTimeMillisUnsafe())
      return Effect.fn("Outbound.send")(function* (request) {
        yield* takePlace(sender)
        const wait = turn()
        if (wait > 0) yield* Effect.sleep(wait)
        const outgoing = {
          ...request,
          headers: passing(request.headers),
          body: limited(request.body, "request"),
        }
        const response =
          request.to === null
            ? yield* goAbroad(sender, outgoing)
            : yield* callNeighbour(sender, request.to, outgoing)
        return delivered(request, response)
      })
    },
  })
})

/** The way out for services of this kernel. */
export const layerOutbound = Layer.effect(Outbound, make)
