/**
 * Whatever a server answers, or does not, costs the request that asked for it and nothing else
 * (promise 4).
 */
import { gzipSync } from "node:zlib"

import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { NetworkFailed } from "solo"

import { ask, networkOf, requestTo, test, until } from "./Client.ts"
import { serve, serveRaw } from "./Servers.ts"

const mebibyte = 1024 * 1024

describe("responses", () => {
  test("are not followed", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* serve((_, response) => {
        response.writeHead(302, { location: "http://169.254.169.254/" }).end()
      })
      const { headers, status } = yield* ask(`http://127.0.0.1:${port}/`)
      assert.deepStrictEqual([status, headers["location"]], [302, "http://169.254.169.254/"])
      assert.strictEqual(sockets.length, 1)
    }))

  test("that are compressed arrive plain", () =>
    Effect.gen(function* () {
      const { port } = yield* serve((_, response) => {
        const bytes = gzipSync("x".repeat(100_000))
        response.writeHead(200, { "content-encoding": "gzip", "content-length": bytes.length })
        response.end(bytes)
      })
      const { headers, text } = yield* ask(`http://127.0.0.1:${port}/`)
      assert.strictEqual(text.length, 100_000)
      assert.notProperty(headers, "content-encoding")
      assert.notProperty(headers, "content-length")
    }))

  test("that are empty are so, compressed or not", () =>
    Effect.gen(function* () {
      const { port } = yield* serve((_, response) => {
        response.writeHead(200, { "content-encoding": "gzip", "content-length": "0" }).end()
      })
      assert.strictEqual((yield* ask(`http://127.0.0.1:${port}/`)).text, "")
    }))

  test("that unfold without end are unfolded only as far as somebody reads", () =>
    Effect.gen(function* () {
      const bomb = gzipSync(new Uint8Array(256 * mebibyte))
      const { port, sockets } = yield* serve((_, response) => {
        response.writeHead(200, { "content-encoding": "gzip" }).end(bomb)
      })
      const network = yield* networkOf()
      const scope = yield* Scope.make()
      const before = process.memoryUsage().rss
      const request = requestTo(`http://127.0.0.1:${port}/`)
      const { body } = yield* Scope.provide(network.request(request), scope)
      yield* Stream.runDrain(Stream.take(body!, 8))
      yield* Effect.sleep(50)
      assert.isBelow(process.memoryUsage().rss - before, 64 * mebibyte)
      yield* Scope.close(scope, Exit.void)
      yield* until(() => sockets[0]!.destroyed)
    }))

  const ok = "HTTP/1.1 200 OK\r\n"
  const cut = gzipSync("x".repeat(1000)).subarray(0, 20).toString("latin1")
  const broken: Readonly<Record<string, string>> = {
    "a broken gzip": `${ok}content-encoding: gzip\r\nconnection: close\r\n\r\ngarbage`,
    "a gzip that is cut": `${ok}content-encoding: gzip\r\nconnection: close\r\n\r\n${cut}`,
    "less than was said": `${ok}content-length: 10\r\n\r\nshort`,
    "a chunk that is cut": `${ok}transfer-encoding: chunked\r\n\r\nff\r\nshort`,
    "a chunk that is none": `${ok}transfer-encoding: chunked\r\n\r\nxyz\r\n`,
    "two lengths": `${ok}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd`,
    "length and chunks": `${ok}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    "no HTTP": "SSH-2.0-OpenSSH\r\n",
    nothing: "",
    "a status of 999": "HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n",
    "another protocol":
      "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    "a header without end": `${ok}x: ${"a".repeat(80_000)}`,
    "a header with a zero": `${ok}x: a\0b\r\n\r\n`,
  }
  for (const [what, text] of Object.entries(broken))
    test(`with ${what} are an error that names no address`, () =>
      Effect.gen(function* () {
        const { port } = yield* serveRaw((socket) => void socket.end(Buffer.from(text, "latin1")))
        const names = { "broken.test": () => ["127.0.0.1"] }
        const error = yield* Effect.flip(ask(`http://broken.test:${port}/`, { setup: { names } }))
        assert.instanceOf(error, NetworkFailed)
        assert.include(error.message, `broken.test:${port}`)
        assert.notInclude(error.message, "127.0.0.1")
      }))

  test("that stand still are given up", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* serve((_, response) => void response.write("some"))
      const setup = { idleTimeoutMs: 100 }
      const asked = Effect.scoped(ask(`http://127.0.0.1:${port}/`, { setup }))
      assert.match((yield* Effect.flip(asked)).message, /sent nothing for 100 ms/)
      yield* until(() => sockets[0]!.destroyed)
    }))

  test("that never end are pulled only as fast as they are read", () =>
    Effect.gen(function* () {
      let sent = 0
      const { port } = yield* serve((_, response) => {
        const more = () => {
          do sent += 65_536
          while (response.write(new Uint8Array(65_536)) && sent < 256 * mebibyte)
          response.once("drain", more)
        }
        more()
      })
      const network = yield* networkOf()
      const { body } = yield* network.request(requestTo(`http://127.0.0.1:${port}/`))
      yield* Stream.runDrain(Stream.take(body!, 4))
      yield* Effect.sleep(100)
      assert.isBelow(sent, 32 * mebibyte)
    }))

  test("of a server that refuses are an error that names no address", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(serve(() => {}))
      const names = { "gone.test": () => ["127.0.0.1"] }
      const error = yield* Effect.flip(ask(`http://gone.test:${port}/`, { setup: { names } }))
      assert.strictEqual(error.message, `the exchange with gone.test:${port} failed: ECONNREFUSED`)
    }))
})
