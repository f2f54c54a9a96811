/**
 * Event, EventTarget, AbortController and AbortSignal, as far as a service without a document
 * needs them: no bubbling, no capture, since targets have no parents here.
 */
import { reportError } from "./Failure.ts"
import { now } from "./Host.ts"
import { setTimer } from "./Timers.ts"

const secret = Symbol("inside")

/** A DOMException, whose class comes from a library that puts it onto the global object. */
export const domException = (message: string, name: string): Error =>
  new (globalThis as unknown as { DOMException: new (m: string, n: string) => Error }).DOMException(
    message,
    name,
  )

interface EventInit {
  readonly bubbles?: boolean
  readonly cancelable?: boolean
  readonly composed?: boolean
}

/** What a dispatch does to an event. */
interface EventState {
  target: unknown
  currentTarget: unknown
  canceled: boolean
  stopped: boolean
  dispatching: boolean
  inPassive: boolean
  isTrusted: boolean
}

/** Dispatches an event of the platform's own. */
let dispatchTrusted: (target: EventTarget, type: string) => void
let stateOf: (event: Event) => EventState
let isEvent: (value: unknown) => value is Event

/** https://dom.spec.whatwg.org/#event */
export class Event {
  readonly #type: string
  readonly #bubbles: boolean
  readonly #cancelable: boolean
  readonly #composed: boolean
  readonly #timeStamp = now()
  readonly #state: EventState = {
    target: null,
    currentTarget: null,
    canceled: false,
    stopped: false,
    dispatching: false,
    inPassive: false,
    isTrusted: false,
  }

  constructor(...[type, init]: [type: string, init?: EventInit | null]) {
    if (arguments.length === 0) throw new TypeError("an event has a type")
    this.#type = String(type)
    this.#bubbles = Boolean(init?.bubbles)
    this.#cancelable = Boolean(init?.cancelable)
    this.#composed = Boolean(init?.composed)
  }
  get type(): string {
    return this.#type
  }
  get bubbles(): boolean {
    return this.#bubbles
  }
  get cancelable(): boolean {
    return this.#cancelable
  }
  get composed(): boolean {
    return this.#composed
  }
  get timeStamp(): number {
    return this.#timeStamp
  }
  get isTrusted(): boolean {
    return this.#state.isTrusted
  }
  get defaultPrevented(): boolean {
    return this.#state.canceled
  }
  get target(): unknown {
    return this.#state.target
  }
  get currentTarget(): unknown {
    return this.#state.currentTarget
  }
  get eventPhase(): number {
    return this.#state.dispatching ? 2 : 0
  }
  composedPath(): Array<unknown> {
    return this.#state.dispatching ? [this.#state.target] : []
  }
  preventDefault(): void {
    if (this.#cancelable && !this.#state.inPassive) this.#state.canceled = true
  }
  stopPropagation(): void {}
  stopImmediatePropagation(): void {
    this.#state.stopped = true
  }
  get [Symbol.toStringTag](): string {
    return "Event"
  }
  static {
    stateOf = (event) => event.#state
    isEvent = (value): value is Event =>
      typeof value === "object" && value !== null && #state in value
  }
}

/** https://dom.spec.whatwg.org/#interface-customevent */
export class CustomEvent extends Event {
  readonly #detail: unknown

  constructor(...[type, init]: [type: string, init?: (EventInit & { detail?: unknown }) | null]) {
    if (arguments.length === 0) throw new TypeError("an event has a type")
    super(type, init)
    this.#detail = init?.detail ?? null
  }
  get detail(): unknown {
    return this.#detail
  }
  override get [Symbol.toStringTag](): string {
    return "CustomEvent"
  }
}

type Handler = ((event: Event) => unknown) | { handleEvent: (event: Event) => unknown }
interface Listener {
  readonly type: string
  readonly handler: Handler
  readonly capture: boolean
  readonly once: boolean
  readonly passive: boolean
}
interface ListenerOptions {
  readonly capture?: boolean
  readonly once?: boolean
  readonly passive?: boolean
  readonly signal?: AbortSignal
}

const captureOf = (options: boolean | ListenerOptions | null | undefined): boolean =>
  Boolean(typeof options === "object" || typeof options === "function" ? options?.capture : options)

const call = (target: EventTarget, handler: Handler, event: Event): void => {
  try {
    if (typeof handler === "function") handler.call(target, event)
    else handler.handleEvent(event)
  } catch (error) {
    reportError(error)
  }
}

/** https://dom.spec.whatwg.org/#interface-eventtarget */
export class EventTarget {
  #listeners: Array<Listener> = []

  addEventListener(
    type: string,
    handler: Handler | null,
    options: boolean | ListenerOptions | null = {},
  ): void {
    const capture = captureOf(options)
    const { once, passive, signal } =
      typeof options === "object" && options !== null ? options : ({} as ListenerOptions)
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new TypeError("signal must be an AbortSignal")
    if (handler === null || handler === undefined) return
    if (typeof handler !== "function" && typeof handler !== "object")
      throw new TypeError("a listener is a function or an object with handleEvent")
    if (signal?.aborted) return
    const listener: Listener = {
      type: String(type),
      handler,
      capture,
      once: Boolean(once),
      passive: Boolean(passive),
    }
    if (this.#find(listener.type, handler, capture) !== undefined) return
    this.#listeners.push(listener)
    signal?.addEventListener("abort", () => this.#drop(listener))
  }
  removeEventListener(
    type: string,
    handler: Handler | null,
    options: boolean | ListenerOptions | null = {},
  ): void {
    const found = this.#find(String(type), handler, captureOf(options))
    if (found !== undefined) this.#drop(found)
  }
  #find(type: string, handler: unknown, capture: boolean): Listener | undefined {
    return this.#listeners.find(
      (known) => known.type === type && known.handler === handler && known.capture === capture,
    )
  }
  #drop(listener: Listener): void {
    this.#listeners = this.#listeners.filter((known) => known !== listener)
  }
  dispatchEvent(event: Event): boolean {
    if (!isEvent(event)) throw new TypeError("dispatchEvent takes an Event")
    const state = stateOf(event)
    if (state.dispatching) throw domException("the event is under way", "InvalidStateError")
    state.isTrusted = false
    this.#dispatch(event, state)
    return !event.defaultPrevented
  }
  #dispatch(event: Event, state: EventState): void {
    state.target = state.currentTarget = this
    state.dispatching = true
    const { type } = event
    const attribute = (this as unknown as Record<string, unknown>)[`on${type}`]
    if (typeof attribute === "function") call(this, attribute as Handler, event)
    for (const listener of this.#listeners) {
      if (state.stopped) break
      if (listener.type !== type || !this.#listeners.includes(listener)) continue
      if (listener.once) this.#drop(listener)
      state.inPassive = listener.passive
      call(this, listener.handler, event)
      state.inPassive = false
    }
    state.currentTarget = null
    state.dispatching = state.stopped = false
  }
  get [Symbol.toStringTag](): string {
    return "EventTarget"
  }
  static {
    dispatchTrusted = (target, type) => {
      const event = new Event(type)
      const state = stateOf(event)
      state.isTrusted = true
      target.#dispatch(event, state)
    }
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
  override get [Symbol.toStringTag](): string {
    return "AbortSignal"
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
      dispatchTrusted(signal, "abort")
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
  get [Symbol.toStringTag](): string {
    return "AbortController"
  }
}
