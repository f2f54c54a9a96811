/**
 * One body on its way out of the realm: sent in pieces, as fast as the kernel gives credit for them.
 */
import { ReadableStream } from "web-streams-polyfill"

import { chunkCost, maxChunkBytes, windowCost } from "../Frame.ts"
import { sendBytes } from "./Host.ts"

/** Where the pieces of a body leave. */
export class Outlet {
  readonly #type: number
  readonly #id: number
  #credit = windowCost
  #open: (() => void) | undefined
  #reader: ReadableStreamDefaultReader | undefined
  #isClosed = false

  /** Sends pieces as frames of `type`. */
  constructor(type: number, id: number) {
    this.#type = type
    this.#id = id
  }

  /** The kernel has taken so much. */
  credit(cost: number): void {
    this.#credit += cost
    if (this.#credit > 0) this.#open?.()
  }

  /** Nothing more is to be sent: a stream that is being sent is cancelled. */
  close(reason?: unknown): void {
    this.#isClosed = true
    this.#open?.()
    this.#reader?.cancel(reason).catch(() => {})
  }

  async #turn(): Promise<void> {
    while (this.#credit <= 0 && !this.#isClosed)
      await new Promise<void>((resolve) => (this.#open = resolve))
  }

  async #sendBytes(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += maxChunkBytes) {
      await this.#turn()
      if (this.#isClosed) return
      const piece = bytes.subarray(at, at + maxChunkBytes)
      this.#credit -= chunkCost(piece.length)
      sendBytes(this.#type, this.#id, piece)
    }
  }

  /** Sends all of a body, unless it is closed meanwhile. Throws where the body breaks. */
  async drain(source: Uint8Array | ReadableStream): Promise<void> {
    if (!(source instanceof ReadableStream)) return this.#sendBytes(source)
    const reader = (this.#reader = source.getReader())
    for (;;) {
      await this.#turn()
      if (this.#isClosed) return
      const { done, value } = await reader.read()
      if (done) return
      if (!(value instanceof Uint8Array)) {
        const error = new TypeError("the body of a request consists of Uint8Arrays")
        reader.cancel(error).catch(() => {})
        throw error
      }
      await this.#sendBytes(value)
    }
  }
}
