/**
 * Which headers pass out of a service and back into it. Those of one connection are whoever makes
 * the connection's business; a service that could set them could smuggle a second request.
 */
import { declaredHopByHop, hopByHop } from "../../domain/Http.ts"
import type { OutgoingRequest } from "./Runtime.ts"

type Headers = OutgoingRequest["headers"]

/** What the kernel says about a request itself. */
const ofRequest: ReadonlySet<string> = new Set(["content-length", "expect", "host"])

/** The headers of a request that pass. */
export const passingOut = (headers: Headers): Headers =>
  passing(headers).filter(([name]) => !ofRequest.has(name))

/** The headers that pass either way, in lower case, without those that `connection` declares to be of one connection. */
export const passing = (headers: Headers): Headers => {
  const dropped = new Set(hopByHop)
  for (const [name, value] of headers)
    if (name.toLowerCase() === "connection")
      for (const declared of declaredHopByHop(value) ?? []) dropped.add(declared)
  return headers.flatMap(([given, value]) => {
    const name = given.toLowerCase()
    return dropped.has(name) ? [] : [[name, value] as const]
  })
}
