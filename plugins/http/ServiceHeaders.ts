/**
 * Which headers pass between a client and a service. Hop-by-hop headers concern one connection
 * and pass neither way; the caller's credentials never reach a service; what a service sends is
 * checked, because it is other people's code.
 */
import { declaredHopByHop, hopByHop, type ServiceRequest, type ServiceResponse } from "solo"

/** Headers that are for the gateway, or that it sets itself. */
const forGateway: ReadonlySet<string> = new Set([
  "authorization",
  "x-tenant-id",
  "x-request-id",
  "expect",
])

/** The headers a service sees. */
export const toService = (
  headers: Readonly<Record<string, string | undefined>>,
  requestId: string,
): ServiceRequest["headers"] => {
  const dropped = declaredHopByHop(headers["connection"])
  const passed: Array<readonly [string, string]> = [["x-request-id", requestId]]
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || hopByHop.has(name) || forGateway.has(name)) continue
    if (dropped?.has(name)) continue
    passed.push([name, value])
  }
  return passed
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/
// oxlint-disable-next-line no-control-regex -- a tab is the one control character a value may hold
const text = /^[\t\u0020-\u007e\u0080-\u00ff]*$/
const length = /^\d{1,15}$/

/** Stands for what a service sent where that is no header. */
export const notHeaders = Symbol("notHeaders")

type ClientHeaders = Record<string, string | Array<string>>

/**
 * What a client sees. A length passes only where no body follows that would have to match it
 * (`hasBody`): everything else is delimited by the gateway, which counts what it really sends.
 */
export const toClient = (
  headers: ServiceResponse["headers"],
  hasBody: boolean,
): ClientHeaders | typeof notHeaders => {
  const passed: ClientHeaders = Object.create(null)
  let dropped: Set<string> | undefined
  for (const [given, value] of headers) {
    if (!token.test(given) || !text.test(value)) return notHeaders
    const name = given.toLowerCase()
    if (name === "connection")
      for (const one of declaredHopByHop(value) ?? []) (dropped ??= new Set()).add(one)
    if (hopByHop.has(name) || name === "x-request-id") continue
    const before = passed[name]
    if (name === "set-cookie") {
      passed[name] = [...(Array.isArray(before) ? before : []), value]
    } else {
      passed[name] = before === undefined ? value : `${String(before)}, ${value}`
    }
  }
  for (const name of dropped ?? []) delete passed[name]
  if (hasBody || !length.test(String(passed["content-length"]))) delete passed["content-length"]
  return passed
}
