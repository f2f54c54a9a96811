/**
 * The kernel's side of `ctx.store`: carries what an instance asks to the store it was given, and no
 * more at once than it may. Whose store that is was decided before; no frame can name another.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Program, StoreRefusal } from "solo"

import {
  type Frame,
  Inbound,
  Outbound,
  encode,
  maxMessageLength,
  maxPendingStore,
  maxPendingStoreBytes,
} from "./Frame.ts"
import {
  type StoreAnswer,
  type TextCodec,
  decodeBatch,
  decodeRead,
  encodeAnswer,
} from "./StoreWire.ts"

const decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true })
const text: TextCodec = {
  encode: (text) => Buffer.from(text),
  decode: (bytes) => decoder.decode(bytes),
}

type Store = Program["store"]

const broken: StoreRefusal = {
  code: "unavailable",
  message: "the store cannot be reached now; try again later",
}

const refusal = ({ message, ...rest }: StoreRefusal): StoreAnswer => ({
  _tag: "Refused",
  refusal: { ...rest, message: message.slice(0, maxMessageLength) },
})

/** The effect that answers a question; throws where the frame holds none. */
const answering = (
  store: Store,
  { type, body }: Frame,
): Effect.Effect<StoreAnswer, StoreRefusal> => {
  if (type === Outbound.storeWrite)
    return Effect.map(store.write(decodeBatch(body, text)), (version) => ({
      _tag: "Written",
      version,
    }))
  const question = decodeRead(body, text)
  if (question._tag === "List")
    return Effect.map(store.list(question.query), (page) => ({ _tag: "Page", ...page }))
  return Effect.map(store.get(question.key), (entry) => ({
    _tag: "Page",
    entries: entry === undefined ? [] : [entry],
    hasMore: false,
  }))
}

/** Where one instance asks. What it still waits for ends with the scope. */
export class StoreDesk {
  readonly #send: (frame: Uint8Array) => void
  readonly #store: Store
  readonly #run: (effect: Effect.Effect<void>) => unknown
  readonly #pending = new Map<number, number>()
  #bytes = 0

  private constructor(
    send: (frame: Uint8Array) => void,
    store: Store,
    run: (effect: Effect.Effect<void>) => unknown,
  ) {
    this.#send = send
    this.#store = store
    this.#run = run
  }

  static make(
    send: (frame: Uint8Array) => void,
    store: Store,
  ): Effect.Effect<StoreDesk, never, Scope.Scope> {
    return Effect.map(FiberSet.makeRuntime(), (run) => new StoreDesk(send, store, run))
  }

  /** Takes a question; false where it may not be asked, which a realm of ours never does. */
  accept(frame: Frame): boolean {
    const { id, body } = frame
    const pending = this.#pending
    if (pending.size >= maxPendingStore || pending.has(id)) return false
    if (this.#bytes + body.length > maxPendingStoreBytes) return false
    let answer: ReturnType<typeof answering>
    try {
      answer = answering(this.#store, frame)
    } catch {
      return false
    }
    pending.set(id, body.length)
    this.#bytes += body.length
    this.#run(this.#answer(id, answer))
    return true
  }

  #answer(id: number, answer: ReturnType<typeof answering>): Effect.Effect<void> {
    return answer.pipe(
      Effect.catch((error) => Effect.succeed(refusal(error))),
      Effect.catchDefect(() => Effect.succeed(refusal(broken))),
      Effect.flatMap((answer) =>
        Effect.sync(() => {
          this.#bytes -= this.#pending.get(id) ?? 0
          this.#pending.delete(id)
          this.#send(encode(Inbound.storeAnswer, id, encodeAnswer(answer, text)))
        }),
      ),
    )
  }
}
