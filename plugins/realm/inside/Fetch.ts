/**
 * `fetch` and `ctx.services.fetch`: https://fetch.spec.whatwg.org/#fetch-method to the network, and
 * to another service of the same tenant. What a service may reach is the kernel's to decide, at
 * every request; a redirect that is followed here is a request like any other there.
 */
import { TextEncoder } from "@exodus/bytes/encoding-lite.js"
import type { ReadableStream } from "web-streams-polyfill"

import { maxRedirects, maxServiceId } from "../Frame.ts"
import { type Body, takeSource } from "./Body.ts"
import { type Parcel, type Reply, dispatch } from "./Errand.ts"
import { listOf } from "./Headers.ts"
import { Request, type Response, arrived, isRedirect, requestHead } from "./Messages.ts"

// Taken before the service can replace them.
const { TypeError, URL } = globalThis
const { stringify } = JSON

const encoder = new TextEncoder()

const sourceOf = (request: Request): Uint8Array | ReadableStream | null => {
  const source = takeSource(request as Body)
  return typeof source === "string" ? encoder.encode(source) : source
}

const absolute = (input: unknown): string => {
  const text = String(input)
  if (!URL.canParse(text)) throw new TypeError(`an absolute URL is needed, not ${stringify(text)}`)
  return text
}

/** The request that the arguments of a fetch describe; one that is there already is not copied. */
const requestOf = (input: unknown, init: unknown): Request => {
  if (input instanceof Request && init === undefined) return input
  const terms = (init ?? {}) as ConstructorParameters<typeof Request>[1]
  return new Request(input instanceof Request ? input : absolute(input), terms)
}

/** The URL without its fragment, where a request may be made to it. */
const addressOf = (text: string): string => {
  const url = new URL(text)
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new TypeError(`only http: and https: can be fetched, not ${url.protocol}`)
  if (url.username !== "" || url.password !== "")
    throw new TypeError("a URL with a user or a password cannot be fetched; use a header")
  url.hash = ""
  return url.href
}

const responseOf = ({ body, headers, status }: Reply, url: string, redirected: boolean): Response =>
  arrived({ status, headers, body, url, redirected })

const parcelOf = (to: string | null, request: Request): Parcel => {
  const { headers, method, signal, url } = requestHead(request)
  const address = addressOf(url)
  return { to, method, url: address, headers: listOf(headers), source: sourceOf(request), signal }
}

/** Where a path leads that is given instead of a URL. */
const anyService = "http://service"

const fetchService = async (id: unknown, input: unknown, init?: unknown): Promise<Response> => {
  if (typeof id !== "string" || id === "" || id.length > maxServiceId)
    throw new TypeError(`the id of a service is a string of 1 to ${maxServiceId} characters`)
  const isPath = typeof input === "string" && input[0] === "/"
  const parcel = parcelOf(id, requestOf(isPath ? `${anyService}${input}` : input, init))
  return responseOf(await dispatch(parcel), parcel.url, false)
}

type Hop = Omit<Parcel, "to" | "signal">

/** Headers of the body that a redirect drops, and those that are for one origin only. */
const ofBody = ["content-encoding", "content-language", "content-location", "content-type"]
const ofOrigin = ["authorization", "cookie", "proxy-authorization"]

/** The request that a redirect asks for: https://fetch.spec.whatwg.org/#http-redirect-fetch */
const redirected = (hop: Hop, status: number, location: string): Hop => {
  const { headers, method, source } = hop
  const url = addressOf(new URL(location, hop.url).href)
  const isOther = new URL(url).origin !== new URL(hop.url).origin
  const becomesGet =
    status === 303 ? method !== "GET" && method !== "HEAD" : status < 303 && method === "POST"
  if (!becomesGet && source !== null && !(source instanceof Uint8Array))
    throw new TypeError("a redirect asks for the body again, and a stream is sent only once")
  const dropped = new Set([...(becomesGet ? ofBody : []), ...(isOther ? ofOrigin : [])])
  return {
    url,
    method: becomesGet ? "GET" : method,
    source: becomesGet ? null : source,
    headers: headers.filter(([name]) => !dropped.has(name)),
  }
}

/** The global `fetch`. */
export const fetch = async (input: unknown, init?: unknown): Promise<Response> => {
  const request = requestOf(input, init)
  const { redirect, signal } = requestHead(request)
  let hop: Hop = parcelOf(null, request)
  for (let count = 0; ; count++) {
    const reply = await dispatch({ ...hop, to: null, signal })
    const location = reply.headers.find(([name]) => name === "location")?.[1]
    if (redirect === "manual" || location === undefined || !isRedirect(reply.status))
      return responseOf(reply, hop.url, count > 0)
    reply.discard()
    if (redirect === "error") throw new TypeError("the answer is a redirect, and redirect is error")
    if (count >= maxRedirects) throw new TypeError(`more than ${maxRedirects} redirects`)
    hop = redirected(hop, reply.status, location)
  }
}

/** What the service gets as `ctx.services`. */
export const services = Object.freeze({
  fetch: Object.freeze((id: unknown, input: unknown, init?: unknown) =>
    fetchService(id, input, init),
  ),
})
