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
import { makeShares } from "../Shares.ts"
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
  const places = makeShares(maxErrands, maxErrandsPerTenant)
  const now = () => clock.currentTimeMillisUnsafe()
  const calls = new RateLimit<string>(callBurst, callsPerSecond, now)
  const journeys = new RateLimit<TenantId>(journeyBurst, journeysPerSecond, now)

  const takePlace = Effect.fnUntraced(function* ({ name: { tenantId } }: Sender) {
    if (places.enter(tenantId) !== "entered")
      return yield* new FetchFailed({
        message: "the tenant's services have as many requests under way as they may now",
      })
    yield* Effect.addFinalizer(() => Effect.sync(() => places.leave(tenantId)))
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
