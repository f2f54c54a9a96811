/**
 * One exchange with one server over Node's HTTP client, on a connection of its own to an address
 * that was checked: nothing is resolved again, nothing is kept for the next request, and no proxy
 * that the environment names is asked.
 */
import * as http from "node:http"
import * as https from "node:https"
import { isIP, type LookupFunction } from "node:net"

import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { NetworkFailed, type NetworkRequest } from "solo"

/** Largest head of a response, in bytes. */
const maxHeadBytes = 64 * 1024

/** Addresses of one name that are tried. */
const maxAddresses = 8

/** What the operator may set; milliseconds. */
export interface ConnectionSettings {
  /** How long connecting may take, TLS included. */
  readonly connectTimeoutMs: number
  /** How long the other side may send, or take, nothing at all. */
  readonly idleTimeoutMs: number
  /** Certificates to trust instead of those of Node, in PEM. */
  readonly ca?: string | undefined
}

// A new connection for every request: none can carry what another tenant left on it.
const plain = new http.Agent({ keepAlive: false, maxSockets: Infinity })
const secure = new https.Agent({ keepAlive: false, maxSockets: Infinity, maxCachedSessions: 0 })

/** Answers every question with the addresses that were checked. */
const pinned =
  (addresses: ReadonlyArray<string>): LookupFunction =>
  (_, { all }, callback) => {
    const found = addresses
      .slice(0, maxAddresses)
      .map((address) => ({ address, family: isIP(address) }))
    if (all === true) callback(null, found)
    else callback(null, found[0]!.address, found[0]!.family)
  }

/** Headers that a service does not decide about. */
const headersOf = ({ body, bodyBytes, headers, method, url }: NetworkRequest) => {
  const given = new Map<string, Array<string>>()
  for (const [name, value] of headers) given.set(name, [...(given.get(name) ?? []), value])
  if (!given.has("accept")) given.set("accept", ["*/*"])
  if (!given.has("user-agent")) given.set("user-agent", ["solo"])
  given.set("accept-encoding", ["gzip"])
  given.set("host", [url.host])
  given.set("connection", ["close"])
  const length = body === null ? 0 : bodyBytes
  if (length === undefined) given.set("transfer-encoding", ["chunked"])
  else if (body !== null || /^(?:POST|PUT|PATCH)$/.test(method))
    given.set("content-length", [String(length)])
  return Object.fromEntries(
    [...given].map(([name, values]) => [name, values.length === 1 ? values[0]! : values]),
  )
}

/** An error as its author may read it: Node's message may name addresses. */
const failureOf = (destination: string, error: unknown): NetworkFailed => {
  if (error instanceof NetworkFailed) return error
  const code = Predicate.hasProperty(error, "code") ? String(error.code) : ""
  const reason = /^[A-Z0-9_]{1,64}$/.test(code) ? code : "it ended before there was an answer"
  return new NetworkFailed({ message: `the exchange with ${destination} failed: ${reason}` })
}

const make = (
  request: NetworkRequest,
  addresses: ReadonlyArray<string>,
  { ca }: ConnectionSettings,
): http.ClientRequest => {
  const { method, url } = request
  const hostname = url.hostname.replace(/^\[|\]$/g, "")
  const options: https.RequestOptions = {
    method,
    hostname,
    port: request.destination.slice(request.destination.lastIndexOf(":") + 1),
    path: `${url.pathname}${url.search}`,
    headers: headersOf(request),
    setHost: false,
    lookup: pinned(addresses),
    maxHeaderSize: maxHeadBytes,
    insecureHTTPParser: false,
  }
  if (url.protocol === "http:") return http.request({ ...options, agent: plain })
  return https.request({
    ...options,
    agent: secure,
    // Said here, because a variable of the environment could say otherwise.
    rejectUnauthorized: true,
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    ...(ca === undefined ? {} : { ca }),
  })
}

/** Ends an exchange for this reason, for its author to read. */
type End = (message: string) => void

/** Ends an exchange that does not connect in time. */
const boundConnecting = (
  client: http.ClientRequest,
  destination: string,
  timeoutMs: number,
  end: End,
): void => {
  const message = `${destination} could not be connected to within ${timeoutMs} ms`
  const timer = setTimeout(() => end(message), timeoutMs)
  const stop = () => clearTimeout(timer)
  client.once("close", stop)
  client.once("socket", (socket) => {
    socket.once(client.protocol === "https:" ? "secureConnect" : "connect", stop)
  })
}

const write = (client: http.ClientRequest, piece: Uint8Array): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const done = () => {
      client.off("drain", done)
      client.off("close", done)
      resume(Effect.void)
    }
    if (client.destroyed || client.write(piece)) return done()
    client.on("drain", done)
    client.on("close", done)
    return undefined
  })

/** Sends the body; what fails it ends the exchange with its message. */
const upload = (
  client: http.ClientRequest,
  { body, destination }: NetworkRequest,
  idleTimeoutMs: number,
  end: End,
): Effect.Effect<void> => {
  if (body === null) return Effect.sync(() => void client.end())
  const idle = () => Effect.fail({ message: `${destination} took nothing for ${idleTimeoutMs} ms` })
  return Stream.runForEach(body, (piece) =>
    Effect.timeoutOrElse(write(client, piece), { duration: idleTimeoutMs, orElse: idle }),
  ).pipe(
    Effect.match({
      onSuccess: () => void client.end(),
      onFailure: ({ message }) => end(message),
    }),
  )
}

/**
 * Sends `request` to one of `addresses`; succeeds with the head of the response, whose body flows
 * while the scope is open.
 */
export const exchange = Effect.fnUntraced(function* (
  request: NetworkRequest,
  addresses: ReadonlyArray<string>,
  settings: ConnectionSettings,
): Effect.fn.Return<http.IncomingMessage, NetworkFailed, Scope.Scope> {
  const { destination } = request
  const client = yield* Effect.acquireRelease(
    Effect.try({
      try: () => make(request, addresses, settings),
      catch: (error) => failureOf(destination, error),
    }),
    (made) => Effect.sync(() => void made.destroy()),
  )
  let ended: unknown
  // An error that nobody listens to would end the process.
  client.on("error", (error) => (ended ??= error))
  const end = (message: string) => {
    ended ??= new NetworkFailed({ message })
    client.destroy()
  }
  boundConnecting(client, destination, settings.connectTimeoutMs, end)
  const response = Effect.callback<http.IncomingMessage, NetworkFailed>((resume) => {
    client.once("response", (message) => {
      message.on("error", () => {})
      resume(Effect.succeed(message))
    })
    client.once("close", () => resume(Effect.fail(failureOf(destination, ended))))
    if (client.destroyed) resume(Effect.fail(failureOf(destination, ended)))
  })
  yield* Effect.forkScoped(upload(client, request, settings.idleTimeoutMs, end), {
    startImmediately: true,
  })
  return yield* response
})
