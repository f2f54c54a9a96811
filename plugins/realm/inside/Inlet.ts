/**
 * One body on its way into the realm: a stream of the pieces that came, which gives credit for what
 * was read of it.
 */
import { ReadableStream } from "web-streams-polyfill"

import { chunkCost, windowCost } from "../Frame.ts"

/** Credit is given back in steps, so that small pieces do not each cost a frame. */
const creditStep = windowCost / 4

/** What an inlet tells whoever sends. */
interface Sender {
  readonly credit: (cost: number) => void
  /** Nobody reads any more. */
  readonly cancelled: () => void
}

/** Where the pieces of a body arrive. */
export class Inlet {
  readonly stream: ReadableStream
  readonly #sender: Sender
  #held: Array<Uint8Array> = []
  #ending: { readonly error?: unknown } | undefined
  #arrived: (() => void) | undefined
  #taken = 0

  constructor(sender: Sender) {
    this.#sender = sender
    this.stream = new ReadableStream(
      {
        pull: (controller) => this.#pull(controller),
        cancel: () => {
          this.#held = []
          this.#ending ??= {}
          sender.cancelled()
        },
      },
      { highWaterMark: 0 },
    )
  }

  async #pull(controller: ReadableStreamDefaultController): Promise<void> {
    while (this.#held.length === 0 && this.#ending === undefined)
      await new Promise<void>((resolve) => (this.#arrived = resolve))
    const piece = this.#held.shift()
    if (piece === undefined) {
      if (this.#ending !== undefined && "error" in this.#ending) throw this.#ending.error
      controller.close()
      return
    }
    this.#taken += chunkCost(piece.length)
    controller.enqueue(piece)
    if (this.#taken >= creditStep) {
      this.#sender.credit(this.#taken)
      this.#taken = 0
    }
  }

  /** A piece has come. */
  piece(bytes: Uint8Array): void {
    if (this.#ending !== undefined) return
    this.#held.push(bytes)
    this.#arrived?.()
  }

  /** The body is complete. */
  end(): void {
    this.#ending ??= {}
    this.#arrived?.()
  }

  /** The body does not come whole: whoever reads gets this error, once what came is read. */
  fail(error: unknown): void {
    this.#ending ??= { error }
    this.#arrived?.()
  }
}
