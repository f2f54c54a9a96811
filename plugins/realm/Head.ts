/**
 * The heads of requests and responses on the wire: JSON texts. What comes out of a realm is
 * checked here down to the last header.
 */
import { Buffer } from "node:buffer"

import type { OutgoingRequest, OutgoingResponse, ServiceRequest, ServiceResponse } from "solo"

import {
  headerName,
  headerValue,
  maxBodyBytes,
  maxErrandUrl,
  maxHeaderLength,
  maxHeaders,
  maxServiceId,
} from "./Frame.ts"

const lengthOf = (headers: ServiceRequest["headers"]): number =>
  headers.reduce((length, [name, value]) => length + name.length + value.length, 0)

/** The text of a request's head, or `undefined` where it is too large for a message. */
export const requestHead = (request: ServiceRequest): Uint8Array | undefined => {
  const { method, url, headers, body } = request
  const text = Buffer.from(JSON.stringify([method, url, headers, body !== null]))
  if (text.length > maxBodyBytes || headers.length > maxHeaders) return undefined
  // A head this short cannot have too long headers: they are not measured for every request.
  return text.length > maxHeaderLength && lengthOf(headers) > maxHeaderLength ? undefined : text
}

/** The head of a response, and whether a body follows. */
export type Head = Pick<ServiceResponse, "status" | "headers"> & { readonly hasBody: boolean }

const decoder = new TextDecoder()

const parse = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(decoder.decode(body))
  } catch {
    return undefined
  }
}

type Headers = ServiceResponse["headers"]

/** Headers as they came, or `undefined` where they are none. */
const headersOf = (headers: unknown): Headers | undefined => {
  if (!Array.isArray(headers) || headers.length > maxHeaders) return undefined
  let length = 0
  const pairs: Array<readonly [string, string]> = []
  for (const pair of headers as ReadonlyArray<unknown>) {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined
    const [name, value] = pair as ReadonlyArray<unknown>
    if (typeof name !== "string" || typeof value !== "string") return undefined
    if (!headerName.test(name) || !headerValue.test(value)) return undefined
    length += name.length + value.length
    pairs.push([name, value])
  }
  return length > maxHeaderLength ? undefined : pairs
}

/** Reads the head of a response, or `undefined` where it is none. */
export const responseHead = (body: Uint8Array): Head | undefined => {
  const head = parse(body)
  if (!Array.isArray(head) || head.length !== 3) return undefined
  const [status, given, hasBody] = head as ReadonlyArray<unknown>
  if (typeof status !== "number" || !Number.isInteger(status)) return undefined
  if (status < 200 || status > 599 || typeof hasBody !== "boolean") return undefined
  const headers = headersOf(given)
  return headers === undefined ? undefined : { status, headers, hasBody }
}

const refusedMethod = /^(?:connect|trace|track)$/i

/** The head of an errand as it is on the wire. */
type ErrandHead = Omit<OutgoingRequest, "body"> & { readonly hasBody: boolean }

/**
 * Reads the head of an errand, `[to, method, url, headers, length]` with `null` for no body and -1
 * for a length that nobody knows; `undefined` where it is none that a realm of ours sends.
 */
export const errandHead = (body: Uint8Array): ErrandHead | undefined => {
  const head = parse(body)
  if (!Array.isArray(head) || head.length !== 5) return undefined
  const [to, method, url, given, length] = head as ReadonlyArray<unknown>
  if (to !== null && (typeof to !== "string" || to.length > maxServiceId)) return undefined
  if (typeof method !== "string" || !headerName.test(method) || refusedMethod.test(method))
    return undefined
  if (typeof url !== "string" || url.length > maxErrandUrl) return undefined
  const headers = headersOf(given)
  if (headers === undefined) return undefined
  if (length === null) return { to, method, url, headers, bodyBytes: 0, hasBody: false }
  if (typeof length !== "number" || !Number.isSafeInteger(length) || length < -1) return undefined
  if (method === "GET" || method === "HEAD") return undefined
  const bodyBytes = length === -1 ? undefined : length
  return { to, method, url, headers, bodyBytes, hasBody: true }
}

/** The text of the head of what an errand brings, or `undefined` where it is too large. */
export const errandResponseHead = ({
  status,
  headers,
  body,
}: OutgoingResponse): Uint8Array | undefined => {
  if (headersOf(headers) === undefined) return undefined
  return new TextEncoder().encode(JSON.stringify([status, headers, body !== null]))
}
