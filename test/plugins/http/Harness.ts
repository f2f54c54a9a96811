/**
 * A real gateway on a free port over the fake kernel, and clients for it: `fetch` for what is
 * well-formed, a bare socket for what is not.
 */
import { hash } from "node:crypto"
import * as net from "node:net"

import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { Gateway } from "solo"

import plugin from "../../../plugins/http/index.ts"
import { makeFakeKernel, rootToken } from "./FakeKernel.ts"

/** Longest wait for bytes that should come. Only a broken gateway ever waits so long. */
const patienceMs = 8000

export const asRoot = { authorization: `Bearer ${rootToken}` }
export const asTenant = { ...asRoot, "x-tenant-id": "acme" }

export const spec = (serviceId: string, source = "export default {}") => ({ serviceId, source })

/** Starts a gateway. */
export const startGateway = async (settings: Record<string, unknown> = {}) => {
  const kernel = makeFakeKernel()
  const logged: Array<string> = []
  const config = await Effect.runPromise(
    Schema.decodeEffect(plugin.config)({ port: 0, ...settings }),
  )
  const scope = Scope.makeUnsafe()
  const layer = plugin.layer(config as never) as Layer.Layer<Gateway, unknown>
  const context = await Effect.runPromise(
    Layer.buildWithScope(
      Layer.provide(layer, kernel.layer as unknown as Layer.Layer<never>),
      scope,
    ).pipe(
      Effect.provideService(References.MinimumLogLevel, "Debug"),
      Effect.provide(
        Logger.layer([Logger.map(Logger.formatJson, (line) => void logged.push(line))]),
      ),
    ),
  )
  const { url } = Context.get(context, Gateway)
  const call = (path: string, init: RequestInit & { readonly json?: unknown } = {}) => {
    const { json, ...rest } = init
    return fetch(`${url}${path}`, {
      ...rest,
      headers: {
        ...asTenant,
        ...(json === undefined ? {} : { "content-type": "application/json" }),
        ...rest.headers,
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    })
  }
  /** Sends what must succeed, and answers the token that comes of it. */
  const make = async (path: string, json: object, headers: Record<string, string>) => {
    const response = await call(path, { method: "POST", json, headers })
    if (response.status !== 201) throw new Error(await response.text())
    return ((await response.json()) as { readonly token: string }).token
  }
  return {
    /** A new token of `tenant`. */
    grant: (request: object, tenant = "acme") =>
      make("/v1/tokens", request, { ...asRoot, "x-tenant-id": tenant }),
    /** A narrower token. */
    attenuate: (token: string, request: object) =>
      make("/v1/tokens/attenuate", request, {
        authorization: `Bearer ${token}`,
        "x-tenant-id": "acme",
      }),
    /** Revokes a token of the tenant `acme`. */
    revoke: async (token: string) => {
      const path = `/v1/tokens/${hash("sha256", token)}`
      const response = await call(path, { method: "DELETE" })
      if (response.status !== 200) throw new Error(await response.text())
    },
    kernel,
    logged,
    url,
    call,
    deploy: (json: unknown, headers: Record<string, string> = {}) =>
      call("/v1/services", { method: "POST", json, headers }),
    /** Sends bytes as they are and answers with all that comes back until the end. */
    raw: (bytes: string | Uint8Array) => exchange(url, bytes),
    connect: () => connect(url),
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void)),
  }
}

/** A running gateway. */
export type RunningGateway = Awaited<ReturnType<typeof startGateway>>

const connect = (url: string): Promise<net.Socket> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const socket = net.connect(Number(port), hostname, () => resolve(socket))
    socket.once("error", reject)
  })

const exchange = async (url: string, bytes: string | Uint8Array): Promise<string> => {
  const socket = await connect(url)
  const received: Array<Buffer> = []
  socket.on("data", (chunk: Buffer) => received.push(chunk))
  socket.on("error", () => {})
  socket.setTimeout(patienceMs, () => socket.destroy(new Error("the gateway hangs")))
  socket.write(bytes)
  await new Promise((resolve) => socket.once("close", resolve))
  return Buffer.concat(received).toString("latin1")
}

/** Reads server-sent events until `count` of them have come. */
export const readEvents = async (
  response: Response,
  count: number,
): Promise<Array<{ id: string; event: string; data: unknown }>> => {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const found: Array<{ id: string; event: string; data: unknown }> = []
  let text = ""
  while (found.length < count) {
    const { done, value } = await reader.read()
    if (done) break
    text += value
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = Object.fromEntries(
        text
          .slice(0, end)
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      )
      text = text.slice(end + 2)
      if (fields["data"] !== undefined) {
        found.push({
          id: fields["id"]!,
          event: fields["event"]!,
          data: JSON.parse(fields["data"]),
        })
      }
    }
  }
  await reader.cancel()
  return found
}

/** The body of a problem. */
export interface ProblemBody {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly requestId: string
  readonly errors?: ReadonlyArray<{
    readonly path: ReadonlyArray<string>
    readonly message: string
  }>
  readonly line?: number
  readonly column?: number
}
