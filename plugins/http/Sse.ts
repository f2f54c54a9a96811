/**
 * Server-sent events: turns a stream into a response that is pulled only as fast as the client
 * reads, keeps silent streams alive, bounds how many are open, and ends them all when the gateway
 * drains. What is in a stream is its route's business.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { makeShares } from "solo"

import type { Caller } from "./Caller.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import { shareOf } from "./LoadShedder.ts"
import { type Problem, problem } from "./Problem.ts"

/** One server-sent event. No part but `data` may hold a line break, and JSON never does. */
export interface ServerSentEvent {
  readonly id: string
  readonly event: string
  readonly data: string
}

/** How long a client waits before it reconnects, in milliseconds. */
const reconnectMs = 1000

const opening = `: solo\nretry: ${reconnectMs}\n\n`
const keepAlive = ": keep-alive\n\n"

const render = ({ data, event, id }: ServerSentEvent): string =>
  `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`

/** Whether the client asks for server-sent events. */
export const wantsEventStream = (request: HttpServerRequest.HttpServerRequest): boolean =>
  /(?:^|[,\s])text\/event-stream\b/i.test(request.headers["accept"] ?? "")

/** Opens event streams. */
export class EventStreams extends Context.Service<
  EventStreams,
  {
    /**
     * A response that sends `events` until they end, the client leaves, the caller's token is no
     * longer good, or the gateway drains. A failure is logged and ends the response: the client comes back with `Last-Event-ID`. The
     * place among the open streams is held until the scope, the request's, closes.
     */
    readonly open: <E>(
      caller: Caller["Service"],
      events: Stream.Stream<ServerSentEvent, E>,
    ) => Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, Scope.Scope>
    /** Ends all open streams, and any opened later. */
    readonly endAll: Effect.Effect<void>
  }
>()("solo/plugins/http/Sse/EventStreams") {
  static readonly layer = (
    config: Pick<GatewayConfig, "maxEventStreams" | "streamKeepAliveMs">,
  ): Layer.Layer<EventStreams> =>
    Layer.effect(
      EventStreams,
      Effect.map(Deferred.make<void>(), (draining) => {
        const shares = makeShares(config.maxEventStreams, config.maxEventStreams)
        const place = (share: string) =>
          Effect.acquireRelease(
            Effect.suspend(() =>
              shares.enter(share) === "entered"
                ? Effect.void
                : Effect.fail(
                    problem(
                      "too-many-streams",
                      `${shares.taken()} event streams are open, as many as may be, or as leave room for others`,
                    ),
                  ),
            ),
            () => Effect.sync(() => shares.leave(share)),
          )
        const silence = Stream.tick(config.streamKeepAliveMs).pipe(
          Stream.drop(1),
          Stream.map(() => keepAlive),
        )
        return EventStreams.of({
          open: (caller, events) =>
            Effect.as(
              place(shareOf(caller)),
              HttpServerResponse.stream(
                events.pipe(
                  Stream.map(render),
                  Stream.merge(silence, { haltStrategy: "left" }),
                  Stream.takeWhileEffect(() => caller.isStillGood),
                  Stream.interruptWhen(Deferred.await(draining)),
                  Stream.catchCause((cause) =>
                    Stream.fromEffectDrain(Effect.logWarning("an event stream broke off", cause)),
                  ),
                  (body) => Stream.concat(Stream.succeed(opening), body),
                  Stream.encodeText,
                ),
                {
                  contentType: "text/event-stream",
                  headers: { "cache-control": "no-store", "x-accel-buffering": "no" },
                },
              ),
            ),
          endAll: Effect.asVoid(Deferred.succeed(draining, undefined)),
        })
      }),
    )
}
