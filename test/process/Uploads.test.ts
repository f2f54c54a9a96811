/**
 * Uploads that break off, in a real kernel: the service is told, and has its place back.
 */
import * as net from "node:net"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { call, dataDirectory, kernel, ready } from "./KernelProcess.ts"

const source = `let begun = 0, failed = [];
export default { async fetch(request) {
  if (request.method === "GET") return Response.json({ begun, failed })
  begun++
  try { await request.text() } catch { failed.push(request.signal.aborted) }
  return new Response("read")
} }`

describe("a client that leaves in the middle of its body", () => {
  it.live("aborts the request, fails the body and holds no place", () =>
    Effect.gen(function* () {
      const running = yield* kernel({ dataDir: yield* dataDirectory })
      yield* Effect.promise(async () => {
        await ready(running)
        const body = { serviceId: "reader", source }
        const deployed = await call(running, "POST", "/v1/services", { tenant: "acme", body })
        assert.strictEqual(deployed.status, 201)
        const seen = async () => (await call(running, "GET", "/services/acme/reader/")).json
        const socket = net.connect(Number(new URL(running.url).port), "127.0.0.1")
        socket.write(
          `POST /services/acme/reader/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${running.token}\r\nContent-Length: 100\r\n\r\nabcde`,
        )
        while ((await seen()).begun === 0);
        socket.destroy()
        while ((await seen()).failed.length === 0);
        assert.deepStrictEqual((await seen()).failed, [true])
        const view = await call(running, "GET", "/v1/services/reader", { tenant: "acme" })
        assert.strictEqual(view.json.inFlight, 0)
      })
    }),
  )
})
