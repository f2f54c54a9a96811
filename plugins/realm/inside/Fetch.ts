/**
 * `ctx.services.fetch`: https://fetch.spec.whatwg.org/#fetch-method to another service of the same
 * tenant. What a service may reach is the kernel's to decide, at every request.
 */
import { TextEncoder } from "@exodus/bytes/encoding-lite.js"
import type { ReadableStream } from "web-streams-polyfill"

import { maxServiceId } from "../Frame.ts"
import { type Body, takeSource } from "./Body.ts"
import { type Parcel, type Reply, dispatch } from "./Errand.ts"
import { listOf } from "./Headers.ts"
import { Request, type Response, arrived, requestHead } from "./Messages.ts"

// Taken before the service can replace them.
const { TypeError, URL } = globalThis

const encoder = new TextEncoder()

const sourceOf = (request: Request): Uint8Array | ReadableStream | null => {
  const source = takeSource(request as Body)
  return typeof source === "string" ? encoder.encode(source) : source
}

/** The request that the arguments of a fetch describe; one that is there already is not copied. */
const requestOf = (input: unknown, init: unknown): Request =>
  input instanceof Request && init === undefined
    ? input
    : new Request(input as Request, (init ?? {}) as ConstructorParameters<typeof Request>[1])

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

/** What the service gets as `ctx.services`. */
export const services = Object.freeze({
  fetch: Object.freeze((id: unknown, input: unknown, init?: unknown) =>
    fetchService(id, input, init),
  ),
})
