/**
 * The five functions a realm gets from outside, and the bounds they keep. They take and return
 * primitives, have no prototype, and never throw: a realm learns nothing of this one from them.
 */
import {
  Outbound,
  chunkCost,
  encode,
  encodeNumber,
  logBurst,
  logsPerSecond,
  maxBodyBytes,
  maxChunkBytes,
  maxFieldsLength,
  maxLogLength,
  maxMessageLength,
  maxPendingErrands,
  maxSecretName,
  windowCost,
} from "./Frame.ts"

const textLimits = new Map<number, number>([
  [Outbound.log, maxLogLength],
  [Outbound.logFields, maxFieldsLength + 1 + maxLogLength],
  [Outbound.failed, maxMessageLength],
  [Outbound.responseBroken, maxMessageLength],
  [Outbound.scheduledBroken, maxMessageLength],
  [Outbound.secretWanted, maxSecretName],
])

const isErrand = (type: number): boolean =>
  type >= Outbound.errandHead && type <= Outbound.errandCredit

/**
 * A clock that counts from now on, in milliseconds. Not `performance`, which is a module that takes
 * longer to load than the realm.
 */
const stopwatch = (): (() => number) => {
  const { hrtime } = globalThis.process
  const begun = hrtime()
  return () => {
    const [seconds, nanoseconds] = hrtime(begun)
    return seconds * 1000 + nanoseconds / 1e6
  }
}

/** How many lines a service may log now; and how many were dropped since the last one. */
const logBudget = (clock: () => number) => {
  let left = logBurst
  let dropped = 0
  let last = 0
  return (): number | undefined => {
    const now = clock()
    left = Math.min(logBurst, left + ((now - last) * logsPerSecond) / 1000)
    last = now
    if (left < 1) {
      dropped++
      return undefined
    }
    left--
    const missed = dropped
    dropped = 0
    return missed
  }
}

/** Runs `action`; where it throws, the outcome is `fallback`. */
export const guard = <A>(fallback: A, action: () => A): A => {
  try {
    return action()
  } catch {
    return fallback
  }
}

/** Without a prototype a function leads nowhere. */
const bare = (f: (...args: ReadonlyArray<unknown>) => unknown): typeof f =>
  Object.freeze(Object.setPrototypeOf(f, null))

/** What the functions work on once the realm is there. */
export interface Wiring {
  readonly outbound: Uint8Array
  readonly tick: () => void
}

/** Fills all of `bytes` with random ones, or throws. What is best differs from driver to driver. */
export type FillRandom = (bytes: Uint8Array) => void

/** The functions' shared state: credit and the log's budget. */
export class HostFunctions {
  readonly #send: (frame: Uint8Array) => void
  readonly #credits = new Map<number, number>()
  readonly #errands = new Map<number, number>()
  // Taken now: later these names are gone from the global object.
  readonly #Buffer = globalThis.Buffer
  readonly #clock = stopwatch()
  readonly #fillRandom: FillRandom
  readonly #mayLog = logBudget(this.#clock)
  #hasFailed = false
  #wiring: Wiring | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(send: (frame: Uint8Array) => void, fillRandom: FillRandom) {
    this.#send = send
    this.#fillRandom = fillRandom
  }

  /** Must be called before the realm calls any function that needs its memory. */
  connect(wiring: Wiring): void {
    this.#wiring = wiring
  }

  /** The instance has failed; says so, unless the realm has said it and why. */
  fail(): void {
    if (!this.#hasFailed) this.#sendText(Outbound.failed, 0, "an error that cannot be read")
  }

  /** A request has begun. */
  open(id: number): void {
    this.#credits.set(id, windowCost)
  }

  /** Nobody waits for the response of this request. */
  close(id: number): void {
    this.#credits.delete(id)
  }

  /** The kernel has taken so much of the response. */
  credit(id: number, cost: number): void {
    const credit = this.#credits.get(id)
    if (credit !== undefined) this.#credits.set(id, credit + cost)
  }

  /** The kernel has no more to say about this errand. */
  closeErrand(id: number): void {
    this.#errands.delete(id)
  }

  /** The kernel has taken so much of an errand's body. */
  creditErrand(id: number, cost: number): void {
    const credit = this.#errands.get(id)
    if (credit !== undefined) this.#errands.set(id, credit + cost)
  }

  #spend(type: number, id: number, bytes: number): boolean {
    const credits = type === Outbound.errandChunk ? this.#errands : this.#credits
    const credit = credits.get(id)
    if (credit === undefined || credit <= 0) return false
    credits.set(id, credit - chunkCost(bytes))
    return true
  }

  /** Sends a frame about an errand, unless there is none that it could be about. */
  #sendErrand(type: number, id: number, text: string): number {
    if (type === Outbound.errandHead) {
      const head = this.#Buffer.from(text)
      if (this.#errands.size >= maxPendingErrands || head.length > maxBodyBytes) return 0
      this.#errands.set(id, windowCost)
      this.#send(encode(type, id, head))
      return head.length
    }
    // The pieces of a body go out as bytes.
    if (!this.#errands.has(id) || type === Outbound.errandChunk) return 0
    if (type === Outbound.errandCredit) this.#send(encodeNumber(type, id, Number(text) >>> 0))
    else this.#send(encode(type, id))
    if (type === Outbound.errandAbort) this.closeErrand(id)
    return 0
  }

  #sendText(type: number, id: number, text: string): number {
    const Buffer = this.#Buffer
    if (type === Outbound.requestCredit) {
      this.#send(encodeNumber(type, id, Number(text) >>> 0))
      return 0
    }
    if (isErrand(type)) return this.#sendErrand(type, id, text)
    if (type === Outbound.log || type === Outbound.logFields) {
      const missed = this.#mayLog()
      if (missed === undefined) return 0
      if (missed > 0)
        this.#send(
          encode(Outbound.log, 2, Buffer.from(`${missed} lines were dropped: too many at once`)),
        )
    }
    if (type === Outbound.failed) this.#hasFailed = true
    const body = Buffer.from(text.slice(0, textLimits.get(type) ?? text.length))
    if (type === Outbound.responseChunk && !this.#spend(type, id, body.length)) return body.length
    if (type === Outbound.responseEnd || type === Outbound.responseBroken) this.close(id)
    if (body.length <= maxBodyBytes) this.#send(encode(type, id, body))
    else {
      this.close(id)
      const reason = Buffer.from("the head of the response is too large")
      this.#send(encode(Outbound.responseBroken, id, reason))
    }
    return body.length
  }

  #sendBytes(type: number, id: number, length: number): boolean {
    const isQuestion = type === Outbound.storeRead || type === Outbound.storeWrite
    const isPiece = type === Outbound.responseChunk || type === Outbound.errandChunk
    if (!isPiece && !isQuestion) return false
    if (!(length > 0 && length <= (isQuestion ? maxBodyBytes : maxChunkBytes))) return false
    const bytes = this.#wiring?.outbound.subarray(0, length)
    if (bytes === undefined || !(isQuestion || this.#spend(type, id, length))) return false
    this.#send(encode(type, id, bytes))
    return true
  }

  #wake(delayMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => guard(undefined, () => this.#wiring?.tick()), delayMs)
  }

  /** The functions, in the order in which the realm's script takes them. */
  get functions(): ReadonlyArray<(...args: ReadonlyArray<unknown>) => unknown> {
    const number = (value: unknown): value is number => typeof value === "number"
    return [
      bare((type, id, text) =>
        guard(0, () =>
          number(type) && number(id) && typeof text === "string"
            ? this.#sendText(type, id, text)
            : 0,
        ),
      ),
      bare((type, id, length) =>
        guard(
          false,
          () => number(type) && number(id) && number(length) && this.#sendBytes(type, id, length),
        ),
      ),
      bare((delayMs) =>
        guard(undefined, () => {
          if (number(delayMs)) this.#wake(delayMs)
        }),
      ),
      bare(() => guard(0, () => this.#clock())),
      bare((length) =>
        guard(false, () => {
          if (!number(length)) return false
          this.#fillRandom(this.#wiring!.outbound.subarray(0, length))
          return true
        }),
      ),
    ]
  }
}
