/**
 * Services of a real kernel reach what their spec names and the operator allows, and nothing else,
 * whatever a redirect or a name makes of it (promise 6).
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { call, dataDirectory, kernel, type KernelProcess, ready } from "./KernelProcess.ts"

const source = `export default { async fetch(request) {
  const url = await request.text()
  try {
    const answer = await fetch(url, { headers: { authorization: "planted" } })
    return new Response(answer.status + " " + answer.url + " " + await answer.text())
  } catch (error) { return new Response(error.name + ": " + error.message, { status: 403 }) } } }`

const hello = (request: IncomingMessage, response: ServerResponse) => {
  const away = /^\/to\/(.*)$/.exec(request.url ?? "")?.[1]
  if (away === undefined) response.end(`hello ${request.headers.authorization ?? "nobody"}`)
  else response.writeHead(302, { location: decodeURIComponent(away) }).end()
}

const listening = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
    const server = createServer(hello).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ port, close: () => server.close() }))
    })
  }),
  ({ close }) => Effect.sync(close),
)

const deploy = (running: KernelProcess, network: ReadonlyArray<string>) =>
  call(running, "POST", "/v1/services", {
    tenant: "acme",
    body: { serviceId: "out", source, network },
  })

const asked = async (running: KernelProcess, url: string) => {
  const { status, text } = await call(running, "POST", "/services/acme/out/", { body: url })
  return `${status} ${text}`
}

describe("fetch", () => {
  it.live("reaches what spec and operator name, and nothing else", () =>
    Effect.gen(function* () {
      const { port } = yield* listening
      const other = (yield* listening).port
      const dataDir = yield* dataDirectory
      const here = `127.0.0.1:${port}`
      const first = yield* kernel({
        dataDir,
        env: { SOLO_NETWORK_ALLOW: `${here}, localhost:${port}` },
      })
      yield* Effect.promise(async () => {
        await ready(first)
        const refused = await deploy(first, [here, "example.com"])
        assert.strictEqual(refused.status, 400)
        assert.match(refused.text, /network.*Expected host:port/)
        const deployed = await deploy(first, [here, `LOCALHOST:${port}`, `127.0.0.1:${other}`])
        assert.strictEqual(deployed.status, 201, deployed.text)
        assert.strictEqual(
          await asked(first, `http://${here}/x`),
          `200 200 http://${here}/x hello planted`,
        )
        assert.match(await asked(first, `http://0x7f.1:${port}/`), /^200 200 /)
        assert.match(await asked(first, `http://localhost:${port}/`), /^200 200 /)
        // Another origin gets no credentials.
        const away = encodeURIComponent(`http://localhost:${port}/`)
        assert.match(await asked(first, `http://${here}/to/${away}`), /hello nobody$/)
        // The spec names it, the operator does not.
        assert.match(await asked(first, `http://127.0.0.1:${other}/`), /does not allow: loopback/)
        // The operator allows nothing of it, and the spec names none of it.
        const unnamed = [
          `${first.url}/health/live`,
          `http://[::1]:${port}/`,
          `http://[::ffff:127.0.0.1]:${port}/`,
          "http://169.254.169.254/latest/meta-data/?key=planted",
          `http://127.0.0.1:${port}/to/${encodeURIComponent("http://169.254.169.254/")}`,
          `http://127.0.0.1:${port}/to/${encodeURIComponent(first.url)}`,
        ]
        for (const url of unnamed)
          assert.match(await asked(first, url), /^403 TypeError: this service's spec does not name/)
        await first.end("SIGKILL")
      })
      const second = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(second)
        assert.match(
          await asked(second, `http://${here}/`),
          /^403 TypeError: .*does not allow: loopback/,
        )
        const { text } = await call(second, "GET", "/v1/events?type=fetch_denied", {
          tenant: "acme",
        })
        assert.include(text, '"destination":"169.254.169.254:80"')
        assert.notInclude(text, "planted")
      })
    }),
  )
})
