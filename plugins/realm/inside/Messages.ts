/**
 * Request and Response: https://fetch.spec.whatwg.org/#request-class without modes, caches,
 * credentials, redirection and forms, which mean nothing to a service.
 */
import { Body, type BodyInit, bodyOf, extract } from "./Body.ts"
import { AbortController, AbortSignal } from "./Events.ts"
import { Headers, type HeadersInit } from "./Headers.ts"

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const normal = /^(?:delete|get|head|options|post|put)$/i
const refusedMethod = /^(?:connect|trace|track)$/i

const methodOf = (method: unknown): string => {
  const text = String(method)
  if (!token.test(text) || refusedMethod.test(text))
    throw new TypeError(`invalid method: ${JSON.stringify(text)}`)
  return normal.test(text) ? text.toUpperCase() : text
}

const urlOf = (input: unknown): string => {
  const { href, password, username } = new URL(String(input))
  if (username !== "" || password !== "")
    throw new TypeError("the URL of a request holds no user name and no password")
  return href
}

interface RequestInit {
  readonly method?: string
  readonly headers?: HeadersInit
  readonly body?: BodyInit | null
  readonly signal?: AbortSignal | null
  readonly redirect?: Redirect
}

/** What becomes of a redirect: followed, handed to the service as it is, or an error. */
export type Redirect = "follow" | "manual" | "error"

const redirectOf = (redirect: unknown): Redirect => {
  const text = String(redirect)
  if (text !== "follow" && text !== "manual" && text !== "error")
    throw new TypeError(`redirect must be follow, manual or error, not ${JSON.stringify(text)}`)
  return text
}

const signalOf = (signal: unknown): AbortSignal => {
  if (!(signal instanceof AbortSignal)) throw new TypeError("signal must be an AbortSignal")
  return signal
}

/** A request as it was made, whatever the service did to the class. */
export let requestHead: (request: Request) => {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly signal: AbortSignal
  readonly redirect: Redirect
}

/** A request that came in: unlike one a service makes, a GET may have a body. */
export let received: (head: {
  readonly method: string
  readonly url: string
  readonly headers: HeadersInit
  readonly body: BodyInit | null
  readonly signal: AbortSignal
}) => Request

/** https://fetch.spec.whatwg.org/#request-class */
export class Request extends Body {
  #method: string
  readonly #url: string
  readonly #headers: Headers
  readonly #signal: AbortSignal
  readonly #redirect: Redirect

  constructor(input: Request | string | URL, init: RequestInit = {}) {
    const base = input instanceof Request ? input : undefined
    const method = methodOf(init.method ?? base?.method ?? "GET")
    const given = init.body === undefined ? undefined : extract(init.body)
    if (given?.source && (method === "GET" || method === "HEAD"))
      throw new TypeError(`a ${method} request has no body`)
    super(given !== undefined ? given.source : base === undefined ? null : bodyOf(base))
    this.#method = method
    this.#url = base === undefined ? urlOf(input) : base.url
    this.#headers = new Headers(init.headers ?? base?.headers)
    const signal = init.signal ?? base?.signal
    this.#signal = signal === undefined ? new AbortController().signal : signalOf(signal)
    this.#redirect = redirectOf(init.redirect ?? base?.redirect ?? "follow")
    if (given?.type !== undefined && !this.#headers.has("content-type"))
      this.#headers.set("content-type", given.type)
  }
  get method(): string {
    return this.#method
  }
  get url(): string {
    return this.#url
  }
  get headers(): Headers {
    return this.#headers
  }
  get signal(): AbortSignal {
    return this.#signal
  }
  get redirect(): Redirect {
    return this.#redirect
  }
  clone(): Request {
    return new Request(this)
  }
  static {
    requestHead = (request) => ({
      method: request.#method,
      url: request.#url,
      headers: request.#headers,
      signal: request.#signal,
      redirect: request.#redirect,
    })
    received = ({ method, url, headers, body, signal }) => {
      const request = new Request(url, { method: "POST", headers, body, signal })
      request.#method = method
      return request
    }
  }
  get [Symbol.toStringTag](): string {
    return "Request"
  }
}

interface ResponseInit {
  readonly status?: number
  readonly statusText?: string
  readonly headers?: HeadersInit
}

const nullStatus = new Set([101, 204, 205, 304])
const redirectStatus = new Set([301, 302, 303, 307, 308])
/** Whether a response may name another place to go to. */
export const isRedirect = (status: number): boolean => redirectStatus.has(status)
// oxlint-disable-next-line no-control-regex -- the control characters are what is refused
const reason = /^[\t\u0020-\u007e\u0080-\u00ff]*$/

/** A response that came from elsewhere. */
export let arrived: (head: {
  readonly status: number
  readonly headers: HeadersInit
  readonly body: BodyInit | null
  readonly url: string
  readonly redirected: boolean
}) => Response

export let responseHead: (response: unknown) => { status: number; headers: Headers } | undefined

/** https://fetch.spec.whatwg.org/#response-class */
export class Response extends Body {
  readonly #status: number
  readonly #statusText: string
  readonly #headers: Headers
  #type = "default"
  #url = ""
  #redirected = false

  constructor(body?: BodyInit | null, init: ResponseInit = {}) {
    const status = init.status === undefined ? 200 : Math.trunc(Number(init.status))
    if (!(status >= 200 && status <= 599))
      throw new RangeError(`the status must be from 200 to 599, not ${String(init.status)}`)
    const statusText = String(init.statusText ?? "")
    if (!reason.test(statusText)) throw new TypeError("invalid status text")
    const given = extract(body)
    if (given.source !== null && nullStatus.has(status))
      throw new TypeError(`a response with status ${status} has no body`)
    super(given.source)
    this.#status = status
    this.#statusText = statusText
    this.#headers = new Headers(init.headers)
    if (given.type !== undefined && !this.#headers.has("content-type"))
      this.#headers.set("content-type", given.type)
  }
  get status(): number {
    return this.#type === "error" ? 0 : this.#status
  }
  get statusText(): string {
    return this.#statusText
  }
  get ok(): boolean {
    return this.status >= 200 && this.status <= 299
  }
  get headers(): Headers {
    return this.#headers
  }
  get type(): string {
    return this.#type
  }
  get url(): string {
    return this.#url
  }
  get redirected(): boolean {
    return this.#redirected
  }
  clone(): Response {
    const { status, statusText, headers } = this
    return new Response(bodyOf(this) as BodyInit | null, { status, statusText, headers })
  }
  static json(value: unknown, init: ResponseInit = {}): Response {
    const text = JSON.stringify(value)
    if (text === undefined) throw new TypeError("the value has no JSON text")
    const headers = new Headers(init.headers)
    if (!headers.has("content-type")) headers.set("content-type", "application/json")
    return new Response(text, { ...init, headers })
  }
  static redirect(url: string | URL, status = 302): Response {
    if (!redirectStatus.has(status)) throw new RangeError(`${status} is no redirect`)
    return new Response(null, { status, headers: { location: new URL(String(url)).href } })
  }
  static error(): Response {
    const response = new Response()
    response.#type = "error"
    return response
  }
  get [Symbol.toStringTag](): string {
    return "Response"
  }
  static {
    arrived = ({ status, headers, body, url, redirected }) => {
      const response = new Response(body, { status, headers })
      response.#url = url
      response.#redirected = redirected
      return response
    }
    responseHead = (value) =>
      typeof value === "object" && value !== null && #status in value && value.#type !== "error"
        ? { status: value.#status, headers: value.#headers }
        : undefined
  }
}
