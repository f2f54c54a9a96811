/**
 * Which headers pass out of a service and back into it. Those of one connection are whoever makes
 * the connection's business; a service that could set them could smuggle a second request.
 */
import type { OutgoingRequest } from "./Runtime.ts"

type Headers = OutgoingRequest["headers"]

/** Headers of one connection (RFC 9110, 7.6.1). */
const ofConnection: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
])

/** What the kernel says about a request itself. */
const ofRequest: ReadonlySet<string> = new Set(["content-length", "expect", "host"])

/** The headers of a request that pass. */
export const passingOut = (headers: Headers): Headers =>
  passing(headers).filter(([name]) => !ofRequest.has(name))

/** The headers that pass either way, in lower case, without those that `connection` declares to be of one connection. */
export const passing = (headers: Headers): Headers => {
  const declared = new Set<string>()
  for (const [name, value] of headers)
    if (name.toLowerCase() === "connection")
      for (const word of value.toLowerCase().split(",")) declared.add(word.trim())
  return headers.flatMap(([given, value]) => {
    const name = given.toLowerCase()
    return ofConnection.has(name) || declared.has(name) ? [] : [[name, value] as const]
  })
}
