/**
 * The plugin `network`: lets services reach the internet, and of everything else only what the
 * operator allows.
 */
import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"
import { pipeline, type Readable } from "node:stream"
import { createGunzip } from "node:zlib"

import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  bounded,
  AddressRefused,
  definePlugin,
  mayHaveBody,
  Network,
  NetworkFailed,
  type NetworkRequest,
  type OutgoingResponse,
  pluginApiVersion,
} from "solo"

import { Allowance, judgeOf } from "./Addresses.ts"
import { type ConnectionSettings, exchange } from "./Connection.ts"
import { layerResolver, Resolver } from "./Resolver.ts"

const milliseconds = (fallback: number) => bounded(1, 600_000, fallback)

/** The plugin's section of the configuration. */
const NetworkSettings = Schema.Struct({
  /** What services may reach beside the internet: `host:port`, or addresses as `10.0.0.0/8`. */
  allow: Schema.Array(Allowance).pipe(Schema.withDecodingDefaultKey(Effect.succeed([]))),
  connectTimeoutMs: milliseconds(10_000),
  idleTimeoutMs: milliseconds(60_000),
})

/** Reads of one pull; each is at most as long as Node buffers. */
const readsAtOnce = 4

const pairsOf = (raw: ReadonlyArray<string>): ReadonlyArray<readonly [string, string]> => {
  const pairs: Array<readonly [string, string]> = []
  for (let at = 0; at + 1 < raw.length; at += 2) pairs.push([raw[at]!.toLowerCase(), raw[at + 1]!])
  return pairs
}

const isGzip = ({ headers }: IncomingMessage): boolean =>
  headers["content-length"] !== "0" &&
  /^(?:x-)?gzip$/i.test(headers["content-encoding"]?.trim() ?? "")

/** What the server compressed comes out plain, piece by piece. */
const plainOf = (message: IncomingMessage): Readable => {
  if (!isGzip(message)) return message
  const plain = createGunzip()
  plain.on("error", () => {})
  pipeline(message, plain, () => {})
  return plain
}

const responseOf = (
  message: IncomingMessage,
  { destination, method }: NetworkRequest,
  { idleTimeoutMs }: ConnectionSettings,
): OutgoingResponse => {
  const status = message.statusCode!
  const given = pairsOf(message.rawHeaders)
  if (!mayHaveBody(method, status)) return { status, headers: given, body: null }
  const told = isGzip(message)
    ? given.filter(([name]) => name !== "content-encoding" && name !== "content-length")
    : given
  const brokeOff = new NetworkFailed({ message: `the response of ${destination} broke off` })
  const idle = new NetworkFailed({ message: `${destination} sent nothing for ${idleTimeoutMs} ms` })
  const body = NodeStream.fromReadable<Uint8Array, NetworkFailed>({
    evaluate: () => plainOf(message),
    onError: () => brokeOff,
    chunkSize: readsAtOnce,
  }).pipe(Stream.timeoutOrElse({ duration: idleTimeoutMs, orElse: () => Stream.fail(idle) }))
  return { status, headers: told, body }
}

/** The network as services reach it; whatever is left out has its default. */
export const makeNetwork = (
  settings: ConnectionSettings & { readonly allow: ReadonlyArray<string> },
) =>
  Effect.gen(function* () {
    const resolver = yield* Resolver
    const judge = judgeOf(settings.allow)

    /** The addresses of the request's host, every one of them checked. */
    const addressesOf = Effect.fnUntraced(function* ({ destination, url }: NetworkRequest) {
      const host = url.hostname.replace(/^\[|\]$/g, "")
      const isAddress = isIP(host) !== 0
      const addresses = isAddress ? [host] : yield* resolver.resolve(host)
      for (const address of addresses) {
        const kind = judge(destination, address)
        if (kind !== undefined) return yield* new AddressRefused({ destination, kind })
      }
      return addresses
    })

    return Network.of({
      request: Effect.fn("Network.request")(function* (request) {
        const addresses = yield* addressesOf(request).pipe(
          Effect.catchTag("NotResolved", ({ message }) => new NetworkFailed({ message })),
        )
        const message = yield* exchange(request, addresses, settings)
        const status = message.statusCode ?? 0
        if (status < 200 || status > 599)
          return yield* new NetworkFailed({
            message: `${request.destination} answered with status ${status}`,
          })
        return responseOf(message, request, settings)
      }),
    })
  })

/** The plugin `network`. */
export default definePlugin({
  name: "network",
  version: "0.1.0",
  apiVersion: pluginApiVersion,
  needs: [],
  provides: [Network],
  config: NetworkSettings,
  layer: (settings) =>
    Layer.effect(Network, makeNetwork(settings)).pipe(Layer.provide(layerResolver)),
})
