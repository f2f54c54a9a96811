/**
 * What one connection does to the requests on it: a client that leaves or sends what is no HTTP
 * holds no place for it, and loses no answer that it can still read.
 */
import { once } from "node:events"
import type { Socket } from "node:net"

import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type ServiceRequest, ServiceThrew } from "solo"
import { afterEach, assert, beforeEach, describe, it } from "vitest"

import { rootToken } from "./FakeKernel.ts"
import { type RunningGateway, startGateway } from "./Harness.ts"

const auth = `Host: x\r\nAuthorization: Bearer ${rootToken}\r\nX-Tenant-ID: acme\r\n`
const json = "Content-Type: application/json\r\n"
const ok = { status: 200, headers: [], body: null }

let gateway: RunningGateway
// One place for all: whoever still holds it is seen by whoever comes next.
beforeEach(async () => {
  gateway = await startGateway({ maxInFlight: 1, headersTimeoutMs: 300, receiveTimeoutMs: 600 })
})
afterEach(() => gateway.stop())

const connect = async () => {
  const socket = await gateway.connect()
  socket.on("error", () => {})
  return socket
}

/** All that comes back on a connection until its end. */
const answers = async (socket: Socket) => {
  let text = ""
  socket.on("data", (data: Buffer) => (text += data.toString("latin1")))
  await once(socket, "close")
  return text
}

const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => code)

const isFree = async () => {
  while ((await gateway.call("/v1/services")).status !== 200) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A service that reads all of a body, and what tells when it begins to and when it is interrupted. */
const reader = () => {
  const begun = Deferred.makeUnsafe<void>()
  const aborted = Deferred.makeUnsafe<void>()
  gateway.kernel.control.serve = (_name, { body }: ServiceRequest) =>
    Deferred.succeed(begun, undefined).pipe(
      Effect.andThen(Stream.runDrain((body ?? Stream.empty) as Stream.Stream<Uint8Array, unknown>)),
      Effect.mapError(() => new ServiceThrew({ message: "its body broke off" })),
      Effect.as(ok),
      Effect.onInterrupt(() => Deferred.succeed(aborted, undefined)),
    )
  return {
    begun: Effect.runPromise(Deferred.await(begun)),
    aborted: Effect.runPromise(Deferred.await(aborted)),
  }
}

const sized = "Content-Length: 100\r\n\r\nabcde"
const chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"

/** How an upload breaks off: what it begins with, what happens then, and what it is answered. */
const broken: Record<string, readonly [string, (socket: Socket) => unknown, string?]> = {
  "whose client leaves": [sized, (socket) => socket.destroy()],
  "in chunks whose client leaves": [chunked, (socket) => socket.destroy()],
  "whose connection is reset": [sized, (socket) => socket.resetAndDestroy()],
  "whose client sends no more but reads on": [sized, (socket) => socket.end(), "400"],
  "with bytes that are no chunk": [chunked, (socket) => socket.write("ZZ\r\n"), "400"],
  "that does not come to its end in time": [sized, () => {}, "408"],
}

describe("an upload", () => {
  for (const [what, [begin, end, status]] of Object.entries(broken)) {
    it(`${what} is aborted in the service and holds no place`, async () => {
      const { aborted, begun } = reader()
      const socket = await connect()
      const answered = answers(socket)
      socket.write(`POST /services/acme/x/ HTTP/1.1\r\n${auth}${begin}`)
      await begun
      end(socket)
      await aborted
      await isFree()
      const answer = await answered
      assert.deepStrictEqual(statuses(answer), status === undefined ? [] : [status])
      if (status !== undefined) {
        assert.match(answer, /^connection: close/im)
        assert.include(answer, "application/problem+json")
      }
    })

    it(`to the API ${what} holds no place`, async () => {
      const socket = await connect()
      const answered = answers(socket)
      socket.write(`POST /v1/services HTTP/1.1\r\n${auth}${json}${begin}`)
      while ((await gateway.call("/v1/services")).status === 200);
      end(socket)
      await isFree()
      assert.deepStrictEqual(statuses(await answered), status === undefined ? [] : [status])
    })
  }
})

describe("a client that sends no more after a whole request", () => {
  const ask = (version: string) => `GET /services/acme/x/ HTTP/${version}\r\n${auth}\r\n`

  /** A service that answers when it is let, and what tells when it is asked and interrupted. */
  const waiter = () => {
    const begun = Deferred.makeUnsafe<void>()
    const aborted = Deferred.makeUnsafe<void>()
    const release = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Deferred.succeed(begun, undefined).pipe(
        Effect.andThen(Deferred.await(release)),
        Effect.as({ ...ok, body: Stream.make(new TextEncoder().encode("whole")) }),
        Effect.onInterrupt(() => Deferred.succeed(aborted, undefined)),
      )
    return {
      begun: Effect.runPromise(Deferred.await(begun)),
      aborted: Effect.runPromise(Deferred.await(aborted)),
      release: () => Effect.runSync(Deferred.succeed(release, undefined)),
    }
  }

  it("is answered, however long that takes", async () => {
    const { begun, release } = waiter()
    const socket = await connect()
    const answered = answers(socket)
    socket.write(ask("1.1"))
    await begun
    socket.end()
    // It is asked twice whether it still reads, then it has its answer.
    let asked = ""
    socket.on("data", (data: Buffer) => {
      asked += String(data)
      if (statuses(asked).length === 2) release()
    })
    const answer = await answered
    assert.deepStrictEqual(statuses(answer), ["100", "100", "200"])
    assert.include(answer, "whole")
  })

  it("is answered as often as it asked", async () => {
    gateway.kernel.control.serve = () => Effect.as(Effect.yieldNow, ok)
    const socket = await connect()
    const answered = answers(socket)
    socket.end(ask("1.1").repeat(3))
    assert.isAtLeast(statuses(await answered).length, 3)
  })

  for (const [what, version, leave] of [
    ["and leaves", "1.1", (socket: Socket) => socket.destroy()],
    ["and resets its connection", "1.1", (socket: Socket) => socket.resetAndDestroy()],
    ["of HTTP/1.0, which cannot be asked,", "1.0", (socket: Socket) => socket.end()],
  ] as const) {
    it(`${what} holds no place`, async () => {
      const { aborted, begun } = waiter()
      const socket = await connect()
      const answered = answers(socket)
      socket.write(ask(version))
      await begun
      leave(socket)
      await aborted
      await isFree()
      assert.strictEqual(await answered, "")
    })
  }
})

describe("a request before one that breaks off", () => {
  for (const [what, end] of [
    ["with its client's bytes", (socket: Socket) => socket.end()],
    ["in bytes that are no chunk", (socket: Socket) => socket.write("ZZ\r\n")],
  ] as const) {
    it(`${what} is answered first, and whole`, async () => {
      await gateway.stop()
      gateway = await startGateway()
      const both = Deferred.makeUnsafe<void>()
      const aborted = Deferred.makeUnsafe<void>()
      const release = Deferred.makeUnsafe<void>()
      gateway.kernel.control.serve = (_name, { method }: ServiceRequest) =>
        method === "GET"
          ? Effect.as(Deferred.await(release), {
              ...ok,
              body: Stream.make(new TextEncoder().encode("whole")),
            })
          : Deferred.succeed(both, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() => Deferred.succeed(aborted, undefined)),
            )
      const socket = await connect()
      const answered = answers(socket)
      const path = "/services/acme/x/ HTTP/1.1"
      socket.write(`GET ${path}\r\n${auth}\r\nPOST ${path}\r\n${auth}${chunked}`)
      await Effect.runPromise(Deferred.await(both))
      end(socket)
      await Effect.runPromise(Deferred.await(aborted))
      Effect.runSync(Deferred.succeed(release, undefined))
      const answer = await answered
      assert.deepStrictEqual(
        statuses(answer).filter((status) => status !== "100"),
        ["200", "400"],
        answer,
      )
      assert.include(answer, "whole")
    })
  }
})
