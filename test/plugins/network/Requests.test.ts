/**
 * Requests of services to real servers: only to addresses that were checked, one to a connection,
 * and with nothing of the service's that belongs to the connection (promises 4 and 6).
 */
import type { IncomingMessage, ServerResponse } from "node:http"

import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { AddressRefused, NetworkFailed } from "solo"

import { ask, networkOf, requestTo, test, until } from "./Client.ts"
import { certificate, serve, serveRaw, serveSecurely } from "./Servers.ts"

const hello = (_: IncomingMessage, response: ServerResponse) => void response.end("hello")

/** Answers with what came. */
const echo = async (message: IncomingMessage, response: ServerResponse) => {
  const pieces: Array<Buffer> = []
  for await (const piece of message) pieces.push(piece as Buffer)
  const { method, rawHeaders, url } = message
  response.end(JSON.stringify({ method, url, rawHeaders, text: Buffer.concat(pieces).toString() }))
}

describe("addresses", () => {
  test("that the operator did not list are refused, and nothing connects", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* serve(hello)
      const names = {
        "inside.test": () => ["127.0.0.1"],
        "mixed.test": () => ["93.184.216.34", "127.0.0.1"],
        "mapped.test": () => ["::ffff:127.0.0.1"],
        "metadata.test": () => ["169.254.169.254"],
      }
      const literals = ["127.0.0.1", "0x7f.1", "2130706433", "0", "[::1]", "[fe80::1]"]
      const dressed = ["[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"]
      for (const host of [...Object.keys(names), ...literals, ...dressed]) {
        const setup = { allow: [], names }
        const error = yield* Effect.flip(ask(`http://${host}:${port}/`, { setup }))
        assert.instanceOf(error, AddressRefused, host)
        assert.notMatch(error.message, /169\.254|93\.184/)
      }
      assert.strictEqual(sockets.length, 0)
    }))

  test("are asked for once, and what is connected to is what was checked", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* serve(hello)
      let asked = 0
      // Whoever asks a second time is led elsewhere.
      const names = { "rebind.test": () => [asked++ === 0 ? "127.0.0.1" : "127.0.0.2"] }
      const setup = { names, allow: ["127.0.0.1/32"] }
      const { text } = yield* ask(`http://rebind.test:${port}/`, { setup })
      assert.deepStrictEqual([text, asked, sockets.length], ["hello", 1, 1])
      const error = yield* Effect.flip(ask(`http://rebind.test:${port}/`, { setup }))
      assert.instanceOf(error, AddressRefused)
      assert.strictEqual(sockets.length, 1)
    }))

  test("that do not answer give way to others that were checked", () =>
    Effect.gen(function* () {
      const { port } = yield* serve(hello)
      const names = { "two.test": () => ["127.0.0.2", "127.0.0.1"] }
      const setup = { names, allow: ["127.0.0.0/8"] }
      assert.strictEqual((yield* ask(`http://two.test:${port}/`, { setup })).text, "hello")
    }))

  test("that nobody knows are an error", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ask("http://none.test/"))
      assert.strictEqual(error.message, "none.test has no address, or no name server says so")
    }))
})

describe("requests", () => {
  test("carry what the service says, and not what belongs to the connection", () =>
    Effect.gen(function* () {
      const { port } = yield* serve((message, response) => void echo(message, response))
      const { text } = yield* ask(`http://127.0.0.1:${port}/a%20b?c=d`, {
        method: "POST",
        headers: [
          ["x-a", "1"],
          ["x-a", "2"],
          ["accept-encoding", "br"],
          ["host", "evil.test"],
          ["connection", "keep-alive"],
          ["content-length", "99"],
        ],
        body: Stream.succeed(new TextEncoder().encode("body")),
        bodyBytes: 4,
      })
      const seen = JSON.parse(text)
      const list: ReadonlyArray<string> = seen.rawHeaders
      const values = (wanted: string) =>
        list.filter((_, at) => at % 2 === 1 && list[at - 1]!.toLowerCase() === wanted)
      assert.deepStrictEqual([seen.method, seen.url, seen.text], ["POST", "/a%20b?c=d", "body"])
      assert.deepStrictEqual(values("x-a"), ["1", "2"])
      assert.deepStrictEqual(values("host"), [`127.0.0.1:${port}`])
      assert.deepStrictEqual(values("connection"), ["close"])
      assert.deepStrictEqual(values("accept-encoding"), ["gzip"])
      assert.deepStrictEqual(values("content-length"), ["4"])
    }))

  test("never share a connection", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* serve(hello)
      const network = yield* networkOf()
      for (let n = 0; n < 3; n++) {
        const { body } = yield* network.request(requestTo(`http://127.0.0.1:${port}/`))
        yield* Stream.runDrain(body!)
      }
      assert.strictEqual(sockets.length, 3)
    }))

  test("cannot be split by a header", () =>
    Effect.gen(function* () {
      const { port } = yield* serve(hello)
      for (const header of [
        ["x", "a\r\nx-b: c"],
        ["x\r\ny", "a"],
        ["x", "a\nGET / HTTP/1.1"],
        ["x", "\u{1f600}"],
      ] as const) {
        const error = yield* Effect.flip(ask(`http://127.0.0.1:${port}/`, { headers: [header] }))
        assert.instanceOf(error, NetworkFailed)
      }
    }))

  test("send a body of unknown length in chunks, and break off where it does", () =>
    Effect.gen(function* () {
      let whole = 0
      const { port } = yield* serve((message, response) => {
        message.on("end", () => whole++)
        void echo(message, response).catch(() => {})
      })
      const body = Stream.fromIterable(["a", "b"].map((text) => new TextEncoder().encode(text)))
      const post = { method: "POST", bodyBytes: undefined }
      const { text } = yield* ask(`http://127.0.0.1:${port}/`, { ...post, body })
      assert.strictEqual(JSON.parse(text).text, "ab")
      const failing = Stream.concat(body, Stream.fail({ message: "the source broke" }))
      const error = yield* Effect.flip(ask(`http://127.0.0.1:${port}/`, { ...post, body: failing }))
      assert.strictEqual(error.message, "the source broke")
      assert.strictEqual(whole, 1)
    }))

  test("that nobody takes are given up", () =>
    Effect.gen(function* () {
      const { port } = yield* serveRaw((socket) => void socket.pause())
      const error = yield* Effect.flip(
        ask(`http://127.0.0.1:${port}/`, {
          method: "POST",
          body: Stream.forever(Stream.succeed(new Uint8Array(1024 * 1024))),
          bodyBytes: undefined,
          setup: { idleTimeoutMs: 100 },
        }),
      )
      assert.match(error.message, /took nothing for 100 ms/)
    }))

  test("end their connection when nobody waits any more", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* serve(() => {})
      const fiber = yield* Effect.forkChild(Effect.scoped(ask(`http://127.0.0.1:${port}/`)))
      yield* until(() => sockets.length === 1)
      yield* Fiber.interrupt(fiber)
      yield* until(() => sockets[0]!.destroyed)
    }))
})

describe("TLS", () => {
  const names = { "trusted.test": () => ["127.0.0.1"], "other.test": () => ["127.0.0.1"] }

  test("is verified against the name that was asked for", () =>
    Effect.gen(function* () {
      const { port } = yield* serveSecurely(hello)
      const setup = { names, ca: certificate }
      assert.strictEqual((yield* ask(`https://trusted.test:${port}/`, { setup })).text, "hello")
      for (const host of ["other.test", "127.0.0.1"]) {
        const error = yield* Effect.flip(ask(`https://${host}:${port}/`, { setup }))
        assert.match(error.message, /ERR_TLS_CERT_ALTNAME_INVALID/)
      }
    }))

  test("is not skipped for a certificate nobody signed, whatever the environment says", () =>
    Effect.gen(function* () {
      const { port } = yield* serveSecurely(hello)
      process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0"
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => void delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"]),
      )
      const error = yield* Effect.flip(ask(`https://trusted.test:${port}/`, { setup: { names } }))
      assert.match(error.message, /SELF_SIGNED/)
    }))

  test("that never comes to be is given up", () =>
    Effect.gen(function* () {
      const { port } = yield* serveRaw(() => {})
      const setup = { names, connectTimeoutMs: 100 }
      const error = yield* Effect.flip(ask(`https://trusted.test:${port}/`, { setup }))
      assert.match(error.message, /could not be connected to within 100 ms/)
    }))
})
