/**
 * One body on its way into a realm, at the kernel's end: sent in pieces, as fast as the realm gives
 * credit for them.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import { chunkCost, maxChunkBytes, windowCost } from "./Frame.ts"

/** Where the pieces of a body leave. */
export class Outlet {
  readonly #send: (piece: Uint8Array) => void
  #credit = windowCost
  #open: (() => void) | undefined

  constructor(send: (piece: Uint8Array) => void) {
    this.#send = send
  }

  /** The realm has taken so much. Never counts for more than the window. */
  credit(cost: number): void {
    this.#credit = Math.min(windowCost, this.#credit + cost)
    if (this.#credit > 0) this.#open?.()
  }

  #turn(): Effect.Effect<void> {
    if (this.#credit > 0) return Effect.void
    return Effect.callback<void>((resume) => {
      this.#open = () => resume(Effect.void)
    })
  }

  /** Sends all of a body. Fails as the body does. */
  drain<E>(body: Stream.Stream<Uint8Array, E>): Effect.Effect<void, E> {
    return Stream.runForEach(body, (bytes) =>
      Effect.gen({ self: this }, function* () {
        for (let at = 0; at < bytes.length; at += maxChunkBytes) {
          yield* this.#turn()
          const piece = bytes.subarray(at, at + maxChunkBytes)
          this.#credit -= chunkCost(piece.length)
          this.#send(piece)
        }
      }),
    )
  }
}
