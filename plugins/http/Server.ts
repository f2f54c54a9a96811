/**
 * The network side of the gateway: Node's HTTP server with every bound set, its address, and its
 * orderly end.
 */
import { createServer } from "node:http"

import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { SocketAddress } from "effect/net/NetAddress"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import { refuseConnect } from "./Connect.ts"
import { watchConnections } from "./Connections.ts"
import { makeNameRequest } from "./CurrentRequest.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"

/** How often Node looks for connections that are over their time, at most. */
const maxTimeoutCheckMs = 1000

/** The gateway cannot listen where it should. */
class ListenFailed extends Schema.TaggedError<ListenFailed>()("ListenFailed", {
  host: Schema.String,
  port: Schema.Int,
  code: Schema.String,
}) {
  override get message(): string {
    const why: Record<string, string> = {
      EADDRINUSE: "something else listens there already; choose another port, or 0 for a free one",
      EADDRNOTAVAIL: "this machine does not have that address",
      EACCES: "this user may not listen there; choose a port from 1024 on",
      ENOTFOUND: "the host name is not known",
    }
    return `cannot listen on ${this.host}:${this.port}: ${why[this.code] ?? this.code}`
  }
}

const makeNodeServer = (config: GatewayConfig) => {
  const server = createServer({
    maxHeaderSize: config.maxHeaderBytes,
    headersTimeout: Math.min(config.headersTimeoutMs, config.receiveTimeoutMs),
    requestTimeout: config.receiveTimeoutMs,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(maxTimeoutCheckMs, config.headersTimeoutMs),
    // The gateway answers a missing Host itself, so that it is a problem like any other.
    requireHostHeader: false,
    // No route upgrades: such a request is answered like any other.
    shouldUpgradeCallback: () => false,
    noDelay: true,
  })
  server.maxConnections = config.maxConnections
  server.setTimeout(config.idleTimeoutMs)
  return server
}

/** The URL of a bound address. An address that means "all" is reached through loopback. */
const urlOf = (address: SocketAddress, host: string): string => {
  const port = "port" in address ? address.port : 0
  const loopback: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" }
  const name = loopback[host] ?? host
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}`
}

/**
 * Listens and runs `handle` for every request, until the scope closes: then it takes no more
 * connections, runs `beforeDrain`, waits for requests in flight within `drainTimeoutMs`, and closes
 * what is left.
 */
export const listen = Effect.fnUntraced(function* <E>(
  config: GatewayConfig,
  handle: Effect.Effect<HttpServerResponse, E, HttpServerRequest.HttpServerRequest | Scope.Scope>,
  beforeDrain: Effect.Effect<void>,
) {
  const { host, port } = config
  const node = makeNodeServer(config)
  const nameRequest = yield* makeNameRequest
  const connections = watchConnections(node, nameRequest)
  refuseConnect(node, nameRequest)
  const context = yield* Effect.context()
  // Without a listener, an accept that fails for want of file descriptors would end the process.
  node.on("error", (cause) => {
    if (node.listening) {
      Effect.runForkWith(context)(
        Effect.logError("the gateway could not accept", Cause.fail(cause)),
      )
    }
  })
  const server = yield* NodeHttpServer.make(() => node, {
    host,
    port,
    disablePreemptiveShutdown: true,
  }).pipe(
    Effect.mapError(
      ({ cause }) =>
        new ListenFailed({ host, port, code: String((cause as NodeJS.ErrnoException).code) }),
    ),
  )
  yield* server.serve(handle)
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      yield* beforeDrain
      yield* Effect.timeoutOption(Effect.interruptible(connections.drain), config.drainTimeoutMs)
      const left = yield* connections.destroy
      if (left > 0) {
        yield* Effect.logWarning(`${left} connections were closed with requests in flight`)
      }
    }),
  )
  return urlOf(server.address, host)
})
