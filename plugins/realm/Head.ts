/**
 * The heads of requests and responses on the wire: JSON texts. What comes out of a realm is
 * checked here down to the last header.
 */
import type { ServiceRequest, ServiceResponse } from "solo"

import { headerName, headerValue, maxBodyBytes, maxHeaderLength, maxHeaders } from "./Frame.ts"

/** The text of a request's head, or `undefined` where it is too large for a frame. */
export const requestHead = (request: ServiceRequest): Uint8Array | undefined => {
  const { method, url, headers, body } = request
  const text = new TextEncoder().encode(JSON.stringify([method, url, headers, body !== null]))
  return text.length > maxBodyBytes || headers.length > maxHeaders ? undefined : text
}

type Head = Pick<ServiceResponse, "status" | "headers"> & { readonly hasBody: boolean }

const parse = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch {
    return undefined
  }
}

/** Reads the head of a response, or `undefined` where it is none. */
export const responseHead = (body: Uint8Array): Head | undefined => {
  const head = parse(body)
  if (!Array.isArray(head) || head.length !== 3) return undefined
  const [status, headers, hasBody] = head as ReadonlyArray<unknown>
  if (typeof status !== "number" || !Number.isInteger(status)) return undefined
  if (status < 200 || status > 599 || typeof hasBody !== "boolean") return undefined
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
  return length > maxHeaderLength ? undefined : { status, headers: pairs, hasBody }
}
