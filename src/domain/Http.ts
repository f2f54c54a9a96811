/**
 * The rules of HTTP for whoever passes messages on: which headers are of one connection only, and
 * which responses have a body. What else passes is the business of who passes it on.
 */

/** Headers of one connection (RFC 9110, 7.6.1), and what only proxies exchange; in lower case. */
export const hopByHop: ReadonlySet<string> = new Set([
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

/**
 * Further headers that the value of a header `Connection` declares to be of one connection, in
 * lower case; `undefined` where there is no such header, or where it is a usual one that declares
 * none.
 */
export const declaredHopByHop = (connection: string | undefined): ReadonlySet<string> | undefined =>
  connection === undefined || /^(?:keep-alive|close)$/i.test(connection)
    ? undefined
    : new Set(connection.toLowerCase().split(/[\s,]+/))

const bodilessStatuses: ReadonlySet<number> = new Set([204, 205, 304])

/** Whether a response to `method` with this final status may have a body; else it has none. */
export const mayHaveBody = (method: string, status: number): boolean =>
  method !== "HEAD" && !bodilessStatuses.has(status)
