/**
 * Event, EventTarget, AbortController and AbortSignal, as far as a service without a document
 * needs them: no bubbling, no capture, since targets have no parents here.
 */
import { reportError } from "./Failure.ts"
import { setTimer } from "./Timers.ts"

const secret = Symbol("inside")

/** A DOMException, whose class comes from a library that puts it onto the global object. */
export const domException = (message: string, name: string): Error =>
  new (globalThis as unknown as { DOMException: new (m: string, n: string) => Error }).DOMException(
    message,
    name,
  )

/** https://dom.spec.whatwg.org/#event */
export class Event {
  readonly type: string
  readonly bubbles: boolean
  readonly cancelable: boolean
  readonly timeStamp = Date.now()
  readonly isTrusted: boolean = false
  defaultPrevented = false
  target: unknown = null
  currentTarget: unknown = null
  /** @internal */ stopped = false

  constructor(type: string, init: { bubbles?: boolean; cancelable?: boolean } = {}) {
    this.type = String(type)
    this.bubbles = Boolean(init.bubbles)
    this.cancelable = Boolean(init.cancelable)
  }
  preventDefault(): void {
    if (this.cancelable) this.defaultPrevented = true
  }
  stopPropagation(): void {}
  stopImmediatePropagation(): void {
    this.stopped = true
  }
}

type Handler = ((event: Event) => unknown) | { handleEvent: (event: Event) => unknown }
interface Listener {
  readonly type: string
  readonly handler: Handler
  readonly once: boolean
}

/** https://dom.spec.whatwg.org/#interface-eventtarget */
export class EventTarget {
  #listeners: Array<Listener> = []

  addEventListener(
    type: string,
    handler: Handler | null,
    options: boolean | { once?: boolean; signal?: AbortSignal } = {},
  ): void {
    if (handler === null || handler === undefined) return
    const { once = false, signal } = typeof options === "object" ? options : {}
    if (signal?.aborted) return
    if (this.#listeners.some((known) => known.type === type && known.handler === handler)) return
    this.#listeners.push({ type: String(type), handler, once })
    signal?.addEventListener("abort", () => this.removeEventListener(type, handler))
  }
  removeEventListener(type: string, handler: Handler | null): void {
    this.#listeners = this.#listeners.filter(
      (known) => known.type !== type || known.handler !== handler,
    )
  }
  dispatchEvent(event: Event): boolean {
    event.target = event.currentTarget = this
    const attribute = (this as unknown as Record<string, unknown>)[`on${event.type}`]
    const run = (handler: Handler) => {
      if (event.stopped) return
      try {
        if (typeof handler === "function") handler.call(this as never, event)
        else handler.handleEvent(event)
      } catch (error) {
        reportError(error)
      }
    }
    if (typeof attribute === "function") run(attribute as Handler)
    for (const listener of this.#listeners) {
      if (listener.type !== event.type || !this.#listeners.includes(listener)) continue
      if (listener.once) this.removeEventListener(listener.type, listener.handler)
      run(listener.handler)
    }
    event.currentTarget = null
    return !event.defaultPrevented
  }
}

let abortSignal: (signal: AbortSignal, reason: unknown) => void

/** https://dom.spec.whatwg.org/#interface-AbortSignal */
export class AbortSignal extends EventTarget {
  #aborted = false
  #reason: unknown = undefined
  onabort: ((event: Event) => unknown) | null = null

  constructor(key?: symbol) {
    if (key !== secret) throw new TypeError("Illegal constructor; use new AbortController()")
    super()
  }
  get aborted(): boolean {
    return this.#aborted
  }
  get reason(): unknown {
    return this.#reason
  }
  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason
  }
  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(secret)
    abortSignal(signal, reason)
    return signal
  }
  static timeout(delayMs: number): AbortSignal {
    const signal = new AbortSignal(secret)
    setTimer(
      () => abortSignal(signal, domException("The operation timed out", "TimeoutError")),
      delayMs,
      [],
      false,
    )
    return signal
  }
  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const joined = new AbortSignal(secret)
    for (const signal of signals) {
      if (signal.aborted) {
        abortSignal(joined, signal.reason)
        break
      }
      signal.addEventListener("abort", () => abortSignal(joined, signal.reason), { once: true })
    }
    return joined
  }
  static {
    abortSignal = (signal, reason) => {
      if (signal.#aborted) return
      signal.#aborted = true
      signal.#reason =
        reason === undefined ? domException("This operation was aborted", "AbortError") : reason
      signal.dispatchEvent(new Event("abort"))
    }
  }
}

/** https://dom.spec.whatwg.org/#interface-abortcontroller */
export class AbortController {
  readonly #signal = new AbortSignal(secret)
  get signal(): AbortSignal {
    return this.#signal
  }
  abort(reason?: unknown): void {
    abortSignal(this.#signal, reason)
  }
}
