/**
 * One body on its way out of a realm, at the kernel's end: holds the pieces that came and were not
 * pulled yet, never more than the window, and gives credit back for what was pulled.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import { chunkCost, kept, maxChunkBytes, windowCost } from "./Frame.ts"

/** Credit is given back in steps, so that small pieces do not each cost a frame. */
const creditStep = windowCost / 4

/** Where the pieces of a body arrive. */
export class Inlet<E> {
  readonly #credit: (cost: number) => void
  // Bounded by the window: every piece costs at least its fixed share.
  #held: Array<Uint8Array> = []
  #ending: Cause.Cause<E | Cause.Done<void>> | undefined
  #arrived: (() => void) | undefined
  #window = windowCost
  #taken = 0

  constructor(credit: (cost: number) => void) {
    this.#credit = credit
  }

  /** The body, for one reader. Pulling it is what gives credit. */
  get stream(): Stream.Stream<Uint8Array, E> {
    return Stream.fromPull(Effect.succeed(this.#pull))
  }

  readonly #pull: Effect.Effect<readonly [Uint8Array], E | Cause.Done> = Effect.suspend(() => {
    const piece = this.#held.shift()
    if (piece !== undefined) {
      this.#consumed(piece.length)
      return Effect.succeed([piece] as const)
    }
    if (this.#ending !== undefined) return Effect.failCause(this.#ending)
    return Effect.andThen(this.#arrival, this.#pull)
  })

  readonly #arrival: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.#arrived = () => resume(Effect.void)
  })

  #consumed(bytes: number): void {
    this.#taken += chunkCost(bytes)
    if (this.#taken < creditStep) return
    this.#window += this.#taken
    this.#credit(this.#taken)
    this.#taken = 0
  }

  /** Takes a piece; false where it is too large, outside the window, or after the end. */
  piece(bytes: Uint8Array): boolean {
    if (this.#window <= 0 || bytes.length > maxChunkBytes) return false
    if (this.#ending !== undefined) return false
    this.#window -= chunkCost(bytes.length)
    if (bytes.length > 0) this.#held.push(kept(bytes))
    this.#arrived?.()
    return true
  }

  /** The body is complete. */
  end(): void {
    this.#ending ??= Cause.fail(Cause.Done())
    this.#arrived?.()
  }

  /** The body will not come whole. */
  fail(error: E): void {
    this.#ending ??= Cause.fail(error)
    this.#arrived?.()
  }
}
