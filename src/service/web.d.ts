/**
 * The globals of a service beside ECMAScript's own and streams: the part of the web's platform that
 * is there, and nothing that is not.
 */

type HeadersInit = Headers | Iterable<readonly [string, string]> | Readonly<Record<string, string>>

interface Headers {
  append(name: string, value: string): void
  delete(name: string): void
  get(name: string): string | null
  getSetCookie(): Array<string>
  has(name: string): boolean
  set(name: string, value: string): void
  forEach(visit: (value: string, name: string, headers: Headers) => void, self?: unknown): void
  entries(): IterableIterator<[name: string, value: string]>
  keys(): IterableIterator<string>
  values(): IterableIterator<string>
  [Symbol.iterator](): IterableIterator<[name: string, value: string]>
}
declare var Headers: { prototype: Headers; new (init?: HeadersInit): Headers }

type BodyInit =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | URLSearchParams
  | ReadableStream<Uint8Array>

interface Body {
  readonly body: ReadableStream<Uint8Array> | null
  readonly bodyUsed: boolean
  arrayBuffer(): Promise<ArrayBuffer>
  bytes(): Promise<Uint8Array<ArrayBuffer>>
  json(): Promise<any>
  text(): Promise<string>
}

interface RequestInit {
  readonly method?: string
  readonly headers?: HeadersInit
  readonly body?: BodyInit | null
  readonly signal?: AbortSignal | null
  /** What becomes of a redirect; `follow` unless said. */
  readonly redirect?: "follow" | "manual" | "error"
  /** What the web asks for beside a body that is a stream. It changes nothing here. */
  readonly duplex?: "half"
}

interface Request extends Body {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly signal: AbortSignal
  readonly redirect: "follow" | "manual" | "error"
  clone(): Request
}
declare var Request: {
  prototype: Request
  new (input: Request | string | URL, init?: RequestInit): Request
}

interface ResponseInit {
  readonly status?: number
  readonly statusText?: string
  readonly headers?: HeadersInit
}

interface Response extends Body {
  readonly status: number
  readonly statusText: string
  readonly ok: boolean
  readonly headers: Headers
  readonly type: string
  readonly url: string
  readonly redirected: boolean
  clone(): Response
}
declare var Response: {
  prototype: Response
  new (body?: BodyInit | null, init?: ResponseInit): Response
  json(value: unknown, init?: ResponseInit): Response
  redirect(url: string | URL, status?: number): Response
  error(): Response
}

interface URL {
  hash: string
  host: string
  hostname: string
  href: string
  readonly origin: string
  password: string
  pathname: string
  port: string
  protocol: string
  search: string
  readonly searchParams: URLSearchParams
  username: string
  toJSON(): string
  toString(): string
}
declare var URL: {
  prototype: URL
  new (url: string | URL, base?: string | URL): URL
  canParse(url: string | URL, base?: string | URL): boolean
  parse(url: string | URL, base?: string | URL): URL | null
}

interface URLSearchParams {
  readonly size: number
  append(name: string, value: string): void
  delete(name: string, value?: string): void
  get(name: string): string | null
  getAll(name: string): Array<string>
  has(name: string, value?: string): boolean
  set(name: string, value: string): void
  sort(): void
  forEach(
    visit: (value: string, name: string, params: URLSearchParams) => void,
    self?: unknown,
  ): void
  entries(): IterableIterator<[name: string, value: string]>
  keys(): IterableIterator<string>
  values(): IterableIterator<string>
  toString(): string
  [Symbol.iterator](): IterableIterator<[name: string, value: string]>
}
declare var URLSearchParams: {
  prototype: URLSearchParams
  new (
    init?: string | Iterable<readonly [string, string]> | Readonly<Record<string, string>>,
  ): URLSearchParams
}

interface TextDecoderOptions {
  readonly fatal?: boolean
  readonly ignoreBOM?: boolean
}
interface TextDecoder {
  readonly encoding: string
  readonly fatal: boolean
  readonly ignoreBOM: boolean
  decode(input?: ArrayBuffer | ArrayBufferView, options?: { readonly stream?: boolean }): string
}
declare var TextDecoder: {
  prototype: TextDecoder
  new (label?: string, options?: TextDecoderOptions): TextDecoder
}

interface TextEncoder {
  readonly encoding: string
  encode(input?: string): Uint8Array<ArrayBuffer>
  encodeInto(input: string, into: Uint8Array): { read: number; written: number }
}
declare var TextEncoder: { prototype: TextEncoder; new (): TextEncoder }

interface EventInit {
  readonly bubbles?: boolean
  readonly cancelable?: boolean
  readonly composed?: boolean
}
interface Event {
  readonly type: string
  readonly bubbles: boolean
  readonly cancelable: boolean
  readonly composed: boolean
  readonly eventPhase: number
  readonly timeStamp: number
  readonly isTrusted: boolean
  readonly defaultPrevented: boolean
  readonly target: EventTarget | null
  readonly currentTarget: EventTarget | null
  composedPath(): Array<EventTarget>
  preventDefault(): void
  stopPropagation(): void
  stopImmediatePropagation(): void
}
declare var Event: { prototype: Event; new (type: string, init?: EventInit): Event }
interface CustomEvent<T = any> extends Event {
  readonly detail: T
}
declare var CustomEvent: {
  prototype: CustomEvent
  new <T>(type: string, init?: EventInit & { readonly detail?: T }): CustomEvent<T>
}

type EventListener = ((event: Event) => unknown) | { handleEvent(event: Event): unknown }
interface AddEventListenerOptions {
  readonly capture?: boolean
  readonly once?: boolean
  readonly passive?: boolean
  readonly signal?: AbortSignal
}
interface EventTarget {
  addEventListener(
    type: string,
    listener: EventListener | null,
    options?: boolean | AddEventListenerOptions,
  ): void
  removeEventListener(
    type: string,
    listener: EventListener | null,
    options?: boolean | { readonly capture?: boolean },
  ): void
  dispatchEvent(event: Event): boolean
}
declare var EventTarget: { prototype: EventTarget; new (): EventTarget }

interface AbortSignal extends EventTarget {
  readonly aborted: boolean
  readonly reason: any
  onabort: ((event: Event) => unknown) | null
  throwIfAborted(): void
}
declare var AbortSignal: {
  prototype: AbortSignal
  abort(reason?: unknown): AbortSignal
  any(signals: Iterable<AbortSignal>): AbortSignal
  timeout(milliseconds: number): AbortSignal
}
interface AbortController {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
}
declare var AbortController: { prototype: AbortController; new (): AbortController }

interface DOMException extends Error {
  readonly code: number
  readonly message: string
  readonly name: string
}
declare var DOMException: {
  prototype: DOMException
  new (message?: string, name?: string): DOMException
}

interface Console {
  assert(condition: unknown, ...values: ReadonlyArray<unknown>): void
  debug(...values: ReadonlyArray<unknown>): void
  dir(value: unknown): void
  error(...values: ReadonlyArray<unknown>): void
  info(...values: ReadonlyArray<unknown>): void
  log(...values: ReadonlyArray<unknown>): void
  trace(...values: ReadonlyArray<unknown>): void
  warn(...values: ReadonlyArray<unknown>): void
}
/** Writes to the service's log. */
declare var console: Console

type IntegerArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
interface SubtleCrypto {
  digest(
    algorithm: string | { readonly name: string },
    data: ArrayBuffer | ArrayBufferView,
  ): Promise<ArrayBuffer>
}
interface Crypto {
  /** Digests: SHA-1, SHA-256, SHA-384, SHA-512. */
  readonly subtle: SubtleCrypto
  getRandomValues<T extends IntegerArray>(array: T): T
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`
}
declare var crypto: Crypto

interface Performance {
  readonly timeOrigin: number
  now(): number
}
declare var performance: Performance

declare var self: typeof globalThis
declare function atob(text: string): string
declare function btoa(text: string): string
declare function clearInterval(id: number | undefined): void
declare function clearTimeout(id: number | undefined): void
/** Sends a request to a destination that the spec names under `network`. */
declare function fetch(input: Request | string | URL, init?: RequestInit): Promise<Response>
declare function queueMicrotask(run: () => void): void
/** Takes an error for one that nobody caught: the service crashes. */
declare function reportError(error: unknown): void
declare function setInterval<A extends ReadonlyArray<any>>(
  run: (...values: A) => void,
  milliseconds?: number,
  ...values: A
): number
declare function setTimeout<A extends ReadonlyArray<any>>(
  run: (...values: A) => void,
  milliseconds?: number,
  ...values: A
): number
declare function structuredClone<T>(
  value: T,
  options?: { readonly transfer?: ReadonlyArray<unknown> },
): T
