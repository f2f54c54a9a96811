/**
 * One request and its response inside the realm: the streams of both bodies, each sent only as
 * fast as the other side takes it.
 */
import { ReadableStream } from "web-streams-polyfill"

import {
  Outbound,
  chunkCost,
  headerName,
  headerValue,
  maxChunkBytes,
  windowCost,
} from "../Frame.ts"
import { type Body, takeSource } from "./Body.ts"
import { AbortController } from "./Events.ts"
import { describe } from "./Failure.ts"
import { listOf } from "./Headers.ts"
import { send, sendBytes } from "./Host.ts"
import { type Response, responseHead } from "./Messages.ts"

/** Credit is given back in steps, so that small chunks do not each cost a frame. */
const creditStep = windowCost / 4

/** Text is sent in pieces that fit a chunk however many bytes its characters take. */
const textPiece = Math.floor(maxChunkBytes / 3)

/** A request under way. */
export class Exchange {
  readonly id: number
  readonly controller = new AbortController()
  /** The request's body, if it has one. */
  readonly body: ReadableStream | null
  ended = false
  #inbox: Array<Uint8Array> = []
  #inboxEnd: "open" | "end" | "broken" = "open"
  #wanted: (() => void) | undefined
  #taken = 0
  #credit = windowCost
  #credited: (() => void) | undefined

  constructor(id: number, hasBody: boolean) {
    this.id = id
    this.body = hasBody
      ? new ReadableStream(
          {
            pull: (controller) => this.#pull(controller),
            cancel: () => {
              this.#inbox = []
              this.#inboxEnd = "end"
            },
          },
          { highWaterMark: 0 },
        )
      : null
  }

  async #pull(controller: ReadableStreamDefaultController): Promise<void> {
    while (this.#inbox.length === 0 && this.#inboxEnd === "open")
      await new Promise<void>((resolve) => (this.#wanted = resolve))
    const chunk = this.#inbox.shift()
    if (chunk !== undefined) {
      this.#taken += chunkCost(chunk.length)
      controller.enqueue(chunk)
      if (this.#taken >= creditStep) {
        send(Outbound.requestCredit, this.id, String(this.#taken))
        this.#taken = 0
      }
    } else if (this.#inboxEnd === "end") controller.close()
    else throw new TypeError("the request's body broke off")
  }

  /** A piece of the request's body, or its end, has come. */
  receive(chunk: Uint8Array | "end" | "broken"): void {
    if (this.#inboxEnd !== "open") return
    if (typeof chunk === "string") this.#inboxEnd = chunk
    else this.#inbox.push(chunk)
    this.#wanted?.()
  }

  /** The other side has taken so much of the response. */
  credit(cost: number): void {
    this.#credit += cost
    if (this.#credit > 0) this.#credited?.()
  }

  /** Nobody waits for the response any more. */
  abort(): void {
    this.ended = true
    this.receive("broken")
    this.controller.abort()
    this.#credited?.()
  }

  async #turn(): Promise<void> {
    while (this.#credit <= 0 && !this.ended)
      await new Promise<void>((resolve) => (this.#credited = resolve))
  }

  async #sendText(text: string): Promise<void> {
    for (let at = 0; at < text.length && !this.ended;) {
      await this.#turn()
      let end = Math.min(text.length, at + textPiece)
      const last = text.charCodeAt(end - 1)
      if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--
      this.#credit -= chunkCost(send(Outbound.responseChunk, this.id, text.slice(at, end)))
      at = end
    }
  }

  async #sendBytes(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.ended; at += maxChunkBytes) {
      await this.#turn()
      if (this.ended) return
      const piece = bytes.subarray(at, at + maxChunkBytes)
      this.#credit -= chunkCost(piece.length)
      sendBytes(Outbound.responseChunk, this.id, piece)
    }
  }

  async #sendStream(stream: ReadableStream): Promise<void> {
    const reader = stream.getReader()
    this.controller.signal.addEventListener("abort", () => {
      reader.cancel(this.controller.signal.reason).catch(() => {})
    })
    for (;;) {
      await this.#turn()
      if (this.ended) return
      const { done, value } = await reader.read()
      if (done) return
      if (!(value instanceof Uint8Array)) {
        const error = new TypeError("the body of a response consists of Uint8Arrays")
        reader.cancel(error).catch(() => {})
        throw error
      }
      await this.#sendBytes(value)
    }
  }

  /** Sends what the service returned. Throws where that is no response or its body breaks. */
  async respond(returned: unknown, isHead: boolean): Promise<void> {
    const head = responseHead(returned)
    if (head === undefined)
      throw new TypeError(
        `fetch must return a Response, or a promise of one; it returned ${kindOf(returned)}`,
      )
    const headers = listOf(head.headers)
    for (const [name, value] of headers)
      if (!headerName.test(name) || !headerValue.test(value))
        throw new TypeError(`the header ${JSON.stringify(name)} is none that HTTP can carry`)
    const source = takeSource(returned as Response as Body)
    if (this.ended) return
    const hasBody = source !== null && !isHead
    send(Outbound.responseHead, this.id, JSON.stringify([head.status, headers, hasBody]))
    if (source !== null && isHead && source instanceof ReadableStream)
      source.cancel().catch(() => {})
    if (!hasBody) return
    if (typeof source === "string") await this.#sendText(source)
    else if (source instanceof Uint8Array) await this.#sendBytes(source)
    else await this.#sendStream(source)
  }

  /** Says how the exchange ended, unless nobody listens. */
  finish(error?: { readonly thrown: unknown }): void {
    if (this.ended) return
    this.ended = true
    if (error === undefined) send(Outbound.responseEnd, this.id, "")
    else send(Outbound.responseBroken, this.id, describe(error.thrown))
    this.receive("broken")
  }
}

const kindOf = (value: unknown): string => {
  if (value === null) return "null"
  return typeof value === "object" ? "an object that is none" : typeof value
}
