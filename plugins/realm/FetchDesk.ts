/**
 * The kernel's side of requests that go out of an instance: takes the frames of its errands, has the
 * kernel carry them, and streams the answers back, both ways only as fast as the other side reads.
 * Where an errand may go is the kernel's to decide.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { OutgoingRequest, Program } from "solo"

import {
  type Frame,
  Inbound,
  Outbound,
  encode,
  encodeNumber,
  maxMessageLength,
  maxPendingErrands,
  numberOf,
} from "./Frame.ts"
import { errandHead, errandResponseHead } from "./Head.ts"
import { Inlet } from "./Inlet.ts"
import { Outlet } from "./Outlet.ts"

interface Failed {
  readonly message: string
}

type Send = (frame: Uint8Array) => void

/** One request under way. */
interface Errand {
  readonly inlet: Inlet<Failed> | undefined
  readonly outlet: Outlet
  fiber: Fiber.Fiber<void> | undefined
}

const brokeOff: Failed = { message: "the body of the request broke off" }

/** Fails a body that is not as long as was said. */
const measured = (
  body: Stream.Stream<Uint8Array, Failed>,
  expected: number | undefined,
): Stream.Stream<Uint8Array, Failed> => {
  if (expected === undefined) return body
  let left = expected
  const wrong: Effect.Effect<never, Failed> = Effect.fail({
    message: "the body of the request is not as long as was said",
  })
  return body.pipe(
    Stream.tap((piece) => ((left -= piece.length) < 0 ? wrong : Effect.void)),
    Stream.concat(
      Stream.unwrap(Effect.suspend(() => (left > 0 ? wrong : Effect.succeed(Stream.empty)))),
    ),
  )
}

/** Where one instance sends its requests. What is still under way ends with the scope. */
export class FetchDesk {
  readonly #send: Send
  readonly #fetch: Program["fetch"]
  readonly #run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly #errands = new Map<number, Errand>()

  private constructor(
    send: Send,
    fetch: Program["fetch"],
    run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>,
  ) {
    this.#send = send
    this.#fetch = fetch
    this.#run = run
  }

  static make(send: Send, fetch: Program["fetch"]): Effect.Effect<FetchDesk, never, Scope.Scope> {
    return Effect.map(FiberSet.makeRuntime(), (run) => new FetchDesk(send, fetch, run))
  }

  /** Whether a frame is for this desk. */
  static takes({ type }: Frame): boolean {
    return type >= Outbound.errandHead && type <= Outbound.errandCredit
  }

  /** Takes a frame; false where it may not come, which from a realm of ours never does. */
  accept(frame: Frame): boolean {
    if (frame.type === Outbound.errandHead) return this.#begin(frame)
    const errand = this.#errands.get(frame.id)
    // It ended before the realm could know.
    if (errand === undefined) return true
    switch (frame.type) {
      case Outbound.errandChunk:
        return errand.inlet?.piece(frame.body) ?? false
      case Outbound.errandEnd:
        errand.inlet?.end()
        return errand.inlet !== undefined
      case Outbound.errandBroken:
        errand.inlet?.fail(brokeOff)
        return errand.inlet !== undefined
      case Outbound.errandAbort:
        this.#errands.delete(frame.id)
        errand.fiber?.interruptUnsafe()
        return true
      default:
        errand.outlet.credit(numberOf(frame))
        return true
    }
  }

  #begin({ id, body }: Frame): boolean {
    const head = errandHead(body)
    if (head === undefined || this.#errands.has(id)) return false
    if (this.#errands.size >= maxPendingErrands) return false
    const { hasBody, ...request } = head
    const inlet = hasBody
      ? new Inlet<Failed>((cost) => this.#send(encodeNumber(Inbound.errandCredit, id, cost)))
      : undefined
    const outlet = new Outlet((piece) => this.#send(encode(Inbound.errandChunk, id, piece)))
    const errand: Errand = { inlet, outlet, fiber: undefined }
    this.#errands.set(id, errand)
    const outgoing: OutgoingRequest = {
      ...request,
      body: inlet === undefined ? null : measured(inlet.stream, request.bodyBytes),
    }
    errand.fiber = this.#run(this.#carry(id, outlet, outgoing))
    return true
  }

  #carry(id: number, outlet: Outlet, request: OutgoingRequest): Effect.Effect<void> {
    const answer = Effect.gen({ self: this }, function* () {
      const response = yield* this.#fetch(request)
      const head = errandResponseHead(response)
      if (head === undefined)
        return yield* Effect.fail<Failed>({ message: "the response has too many or bad headers" })
      this.#send(encode(Inbound.errandHead, id, head))
      if (response.body !== null) yield* outlet.drain(response.body)
    })
    return Effect.scoped(answer).pipe(
      Effect.catchDefect(() =>
        Effect.fail<Failed>({ message: "the kernel could not carry the request" }),
      ),
      Effect.match({
        onSuccess: () => encode(Inbound.errandEnd, id),
        onFailure: ({ message }) =>
          encode(Inbound.errandFailed, id, Buffer.from(message.slice(0, maxMessageLength))),
      }),
      Effect.flatMap((frame) =>
        Effect.sync(() => {
          // It is over when the realm is told so: until then it counts.
          if (this.#errands.delete(id)) this.#send(frame)
        }),
      ),
    )
  }
}
