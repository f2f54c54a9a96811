/**
 * One request on its way out of the realm and its response on the way back: the frames of both, the
 * promise of the response, and the end of it all when the service loses interest.
 */
import type { ReadableStream } from "web-streams-polyfill"

import {
  Inbound,
  Outbound,
  maxErrandUrl,
  maxHeaderLength,
  maxHeaders,
  maxPendingErrands,
} from "../Frame.ts"
import type { AbortSignal } from "./Events.ts"
import { send, takeInbound } from "./Host.ts"
import { Inlet } from "./Inlet.ts"
import { Outlet } from "./Outlet.ts"

type Pairs = ReadonlyArray<readonly [name: string, value: string]>

/** What is to go out. */
export interface Parcel {
  /** A service of the same tenant; `null` for the network. */
  readonly to: string | null
  readonly method: string
  readonly url: string
  readonly headers: Pairs
  readonly source: Uint8Array | ReadableStream | null
  readonly signal: AbortSignal
}

/** What came back. */
export interface Reply {
  readonly status: number
  readonly headers: Pairs
  readonly body: ReadableStream | null
  /** The rest of the response is not wanted. */
  readonly discard: () => void
}

// Taken before the service can replace them.
const { Promise, TypeError } = globalThis
const { parse, stringify } = JSON
const { apply } = Reflect
const { delete: remove, get: find, set: put } = Map.prototype

const pending = new Map<number, Errand>()
let count = 0
let lastId = 0

const forget = (id: number): void => {
  if (apply(remove, pending, [id])) count--
}

class Errand {
  readonly reply: Promise<Reply>
  readonly #id: number
  readonly #outlet: Outlet
  readonly #inlet: Inlet
  readonly #signal: AbortSignal
  readonly #aborted = () => this.#give(this.#signal.reason)
  #resolve: (reply: Reply) => void = () => {}
  #reject: (error: unknown) => void = () => {}
  #isOver = false

  constructor(id: number, { signal, source }: Parcel) {
    this.#id = id
    this.#signal = signal
    this.#outlet = new Outlet(Outbound.errandChunk, id)
    this.#inlet = new Inlet({
      credit: (cost) => {
        if (!this.#isOver) send(Outbound.errandCredit, id, `${cost}`)
      },
      cancelled: () => this.#give(undefined),
    })
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    signal.addEventListener("abort", this.#aborted)
    if (source !== null) void this.#upload(source)
  }

  async #upload(source: Uint8Array | ReadableStream): Promise<void> {
    try {
      await this.#outlet.drain(source)
      if (!this.#isOver) send(Outbound.errandEnd, this.#id, "")
    } catch (error) {
      if (this.#isOver) return
      send(Outbound.errandBroken, this.#id, "")
      this.#give(error)
    }
  }

  /** Ends it; false where it is over already. */
  #end(reason?: unknown): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    forget(this.#id)
    this.#signal.removeEventListener("abort", this.#aborted)
    this.#outlet.close(reason)
    return true
  }

  /** Gives it up for a reason of the service's own. */
  #give(reason: unknown): void {
    if (!this.#end(reason)) return
    send(Outbound.errandAbort, this.#id, "")
    this.#reject(reason)
    this.#inlet.fail(reason)
  }

  /** Takes a frame of the kernel's. */
  receive(type: number, text: string, value: number): void {
    if (type === Inbound.errandCredit) this.#outlet.credit(value)
    else if (type === Inbound.errandChunk) this.#inlet.piece(takeInbound(value))
    else if (type === Inbound.errandHead) {
      const [status, headers, hasBody] = parse(text) as [number, Pairs, boolean]
      const body = hasBody ? this.#inlet.stream : null
      this.#resolve({ status, headers, body, discard: () => this.#give(undefined) })
    } else if (type === Inbound.errandEnd) {
      if (this.#end()) this.#inlet.end()
    } else if (this.#end()) {
      const error = new TypeError(text)
      this.#reject(error)
      this.#inlet.fail(error)
    }
  }
}

const refuse = (message: string): never => {
  throw new TypeError(message)
}

/** Sends a request out. Rejects with the signal's reason, or a `TypeError` that says what failed. */
export const dispatch = async (parcel: Parcel): Promise<Reply> => {
  const { headers, method, signal, source, to, url } = parcel
  if (signal.aborted) throw signal.reason
  if (source !== null && (method === "GET" || method === "HEAD"))
    refuse(`a ${method} request has no body`)
  if (url.length > maxErrandUrl) refuse(`a URL has at most ${maxErrandUrl} characters`)
  if (count >= maxPendingErrands)
    refuse(
      `at most ${maxPendingErrands} requests may be under way at once; read or cancel the bodies of responses`,
    )
  const id = (lastId = (lastId + 1) >>> 0)
  const length = source === null ? null : source instanceof Uint8Array ? source.length : -1
  // Nothing is sent where the stack is about to overflow, or the head is too large.
  if (send(Outbound.errandHead, id, stringify([to, method, url, headers, length])) === 0)
    refuse(`a request has at most ${maxHeaders} headers with ${maxHeaderLength} characters`)
  count++
  const errand = new Errand(id, parcel)
  apply(put, pending, [id, errand])
  return errand.reply
}

/** Takes a frame about an errand. */
export const receiveErrand = (type: number, id: number, text: string, value: number): void => {
  const errand = apply(find, pending, [id]) as Errand | undefined
  errand?.receive(type, text, value)
}

/** Whether a frame is about an errand. */
export const isErrand = (type: number): boolean =>
  type >= Inbound.errandCredit && type <= Inbound.errandFailed
