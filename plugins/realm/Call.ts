/**
 * One request from the kernel's side: the head it waits for, the pieces of the body it has not
 * handed on yet, and the credit both bodies have.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { type NotRunning, ServiceThrew, type ServiceRequest, type ServiceResponse } from "solo"

import {
  Inbound,
  chunkCost,
  encode,
  encodeNumber,
  kept,
  maxChunkBytes,
  windowCost,
} from "./Frame.ts"
import { type Head, responseHead } from "./Head.ts"

/** Credit is given back in steps, so that small pieces do not each cost a frame. */
const creditStep = windowCost / 4

/**
 * How long a head waits for its body to begin, in milliseconds. A body that fails within this time
 * makes the whole response fail; one that is merely slow, such as a stream of events, loses no more.
 */
export const firstPieceMs = 100

type Send = (frame: Uint8Array) => void

type Failure = ServiceThrew | NotRunning

/** A request that waits for its response, or for the rest of it. */
export class Call {
  readonly #head = Deferred.makeUnsafe<Head, Failure>()
  /** Done once the body has begun, ended or failed, or there is none. */
  readonly #settled = Deferred.makeUnsafe<void, Failure>()
  readonly #id: number
  readonly #send: Send
  /** What came of the body before anybody asked for it. Bounded by the window. */
  #held: Array<Uint8Array> = []
  /** Where it goes from then on. Every piece costs at least its fixed share of the window. */
  #pieces: Queue.Queue<Uint8Array, ServiceThrew | Cause.Done> | undefined
  #isComplete = false
  #failure: ServiceThrew | undefined
  #window = windowCost
  #taken = 0
  #began = false
  #upload = windowCost
  #uploadable: (() => void) | undefined

  constructor(id: number, send: Send) {
    this.#id = id
    this.#send = send
  }

  /** Takes the head of the response; false where it is none or a second one. */
  begin(body: Uint8Array): boolean {
    const head = responseHead(body)
    if (head === undefined || this.#began) return false
    this.#began = true
    this.#soon(() => {
      Deferred.doneUnsafe(this.#head, Effect.succeed(head))
      if (!head.hasBody) this.#settle()
    })
    return true
  }

  /** Head, body and end of a short response come together: whoever waits gets them as one. */
  #soon(action: () => void): void {
    queueMicrotask(action)
  }

  #settle(outcome: Effect.Effect<void, Failure> = Effect.void): void {
    Deferred.doneUnsafe(this.#settled, outcome)
  }

  /** Succeeds when the response has begun. What fails before its first byte fails whole. */
  get response(): Effect.Effect<ServiceResponse, Failure> {
    return Effect.flatMap(Deferred.await(this.#head), (head) => {
      if (this.#hasBegun(head)) return Effect.succeed(this.#responseOf(head))
      const settled = Deferred.await(this.#settled)
      return Effect.map(Effect.timeoutOption(settled, firstPieceMs), () => this.#responseOf(head))
    })
  }

  #hasBegun({ hasBody }: Head): boolean {
    return this.#failure === undefined && (!hasBody || this.#isComplete || this.#held.length > 0)
  }

  #responseOf({ hasBody, headers, status }: Head): ServiceResponse {
    if (!hasBody) return { status, headers, body: null }
    if (!this.#isComplete) return { status, headers, body: this.#body }
    const whole = Buffer.concat(this.#held)
    return { status, headers, body: Stream.succeed(whole), whole }
  }

  get #body(): Stream.Stream<Uint8Array, ServiceThrew> {
    return Stream.suspend(() => Stream.fromQueue(this.#open())).pipe(
      Stream.rechunk(1),
      Stream.tap((piece) => Effect.sync(() => this.#consumed(piece.length))),
    )
  }

  #open(): Queue.Queue<Uint8Array, ServiceThrew | Cause.Done> {
    if (this.#pieces !== undefined) return this.#pieces
    const pieces = Effect.runSync(Queue.unbounded<Uint8Array, ServiceThrew | Cause.Done>())
    for (const piece of this.#held) Queue.offerUnsafe(pieces, piece)
    this.#held = []
    if (this.#isComplete) Queue.endUnsafe(pieces)
    if (this.#failure !== undefined) Queue.failCauseUnsafe(pieces, Cause.fail(this.#failure))
    return (this.#pieces = pieces)
  }

  #consumed(bytes: number): void {
    this.#taken += chunkCost(bytes)
    if (this.#taken < creditStep) return
    this.#window += this.#taken
    this.#send(encodeNumber(Inbound.responseCredit, this.#id, this.#taken))
    this.#taken = 0
  }

  /** Takes a piece of the response; false where it may not come. */
  piece(body: Uint8Array): boolean {
    if (!this.#began || this.#window <= 0 || body.length > maxChunkBytes) return false
    this.#window -= chunkCost(body.length)
    if (body.length === 0) return true
    if (this.#pieces === undefined) this.#held.push(kept(body))
    else Queue.offerUnsafe(this.#pieces, kept(body))
    this.#soon(() => this.#settle())
    return true
  }

  /** The response is complete; false where it has not begun. */
  end(): boolean {
    if (!this.#began) return false
    this.#isComplete = true
    if (this.#pieces !== undefined) Queue.endUnsafe(this.#pieces)
    this.#soon(() => this.#settle())
    return true
  }

  /** The response will not come, or not whole. */
  fail(error: ServiceThrew | NotRunning): void {
    const { message } = error
    this.#failure ??= new ServiceThrew({ message })
    if (this.#pieces !== undefined) Queue.failCauseUnsafe(this.#pieces, Cause.fail(this.#failure))
    this.#soon(() => {
      Deferred.doneUnsafe(this.#head, Effect.fail(error))
      this.#settle(Effect.fail(error))
    })
  }

  /** The service has taken so much of the request's body. */
  credit(cost: number): void {
    this.#upload = Math.min(windowCost, this.#upload + cost)
    if (this.#upload > 0) this.#uploadable?.()
  }

  #turn(): Effect.Effect<void> {
    if (this.#upload > 0) return Effect.void
    return Effect.callback<void>((resume) => {
      this.#uploadable = () => resume(Effect.void)
    })
  }

  #sendPiece(bytes: Uint8Array): void {
    this.#upload -= chunkCost(bytes.length)
    this.#send(encode(Inbound.requestChunk, this.#id, bytes))
  }

  /** Sends the request's body as fast as the service takes it. Never fails. */
  upload(body: NonNullable<ServiceRequest["body"]>): Effect.Effect<void> {
    return body.pipe(
      Stream.runForEach((bytes) =>
        Effect.gen({ self: this }, function* () {
          for (let at = 0; at < bytes.length; at += maxChunkBytes) {
            yield* this.#turn()
            this.#sendPiece(bytes.subarray(at, at + maxChunkBytes))
          }
        }),
      ),
      Effect.matchCause({
        onSuccess: () => this.#send(encode(Inbound.requestEnd, this.#id)),
        onFailure: () => this.#send(encode(Inbound.requestBroken, this.#id)),
      }),
    )
  }
}
