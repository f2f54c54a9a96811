/**
 * The end of the gateway: requests in flight are answered, streams end, connections close, and
 * nothing holds it up longer than it may (promise 9).
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { assert, describe, it } from "vitest"

import { asRoot, startGateway } from "./Harness.ts"

const closed = (socket: { once: (event: "close", done: () => void) => unknown }) =>
  new Promise<void>((resolve) => socket.once("close", resolve))

describe("shutdown", () => {
  it("answers what is in flight and takes nothing new", async () => {
    const gateway = await startGateway()
    const started = Deferred.makeUnsafe<void>()
    const release = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Deferred.succeed(started, undefined).pipe(
        Effect.andThen(Deferred.await(release)),
        Effect.as({
          status: 200,
          headers: [],
          body: Stream.make(new TextEncoder().encode("done")),
        }),
      )
    const flying = gateway.call("/services/acme/slow/")
    await Effect.runPromise(Deferred.await(started))
    const stopping = gateway.stop()
    let refused = false
    while (!refused) {
      refused = await fetch(`${gateway.url}/health/live`).then(
        () => false,
        () => true,
      )
    }
    await Effect.runPromise(Deferred.succeed(release, undefined))
    assert.strictEqual(await (await flying).text(), "done")
    await stopping
  })

  it("ends streams, and closes idle, silent and half-sent connections", async () => {
    const gateway = await startGateway({ drainTimeoutMs: 60_000 })
    const stream = await fetch(`${gateway.url}/v1/events`, {
      headers: { ...asRoot, accept: "text/event-stream" },
    })
    await (await fetch(`${gateway.url}/health/live`)).text()
    const silent = await gateway.connect()
    const half = await gateway.connect()
    half.write("GET /health/live HTTP/1.1\r\nHost: x\r\n")
    const idle = await gateway.connect()
    idle.write("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    await new Promise((resolve) => idle.once("data", resolve))
    const gone = [silent, half, idle].map((socket) => {
      socket.on("error", () => {})
      socket.resume()
      return closed(socket)
    })
    await gateway.stop()
    await Promise.all(gone)
    assert.include(await stream.text(), ": solo")
  }, 20_000)

  it("does not wait longer than it may for a request that never ends", async () => {
    const gateway = await startGateway({ drainTimeoutMs: 100 })
    const started = Deferred.makeUnsafe<void>()
    const interrupted = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Deferred.succeed(started, undefined).pipe(
        Effect.andThen(Effect.never),
        Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)),
      )
    const flying = gateway.call("/services/acme/slow/").then(
      () => "answered",
      () => "cut off",
    )
    await Effect.runPromise(Deferred.await(started))
    await gateway.stop()
    assert.strictEqual(await flying, "cut off")
    await Effect.runPromise(Deferred.await(interrupted))
    assert.isTrue(gateway.logged.some((line) => line.includes("1 connections were closed")))
  }, 20_000)

  it("frees the port, and a taken port is a readable failure", async () => {
    const first = await startGateway()
    const port = Number(new URL(first.url).port)
    const failure = await startGateway({ port }).then(
      () => undefined,
      (error: unknown) => error,
    )
    assert.include(String(failure), "something else listens there already")
    await first.stop()
    const second = await startGateway({ port })
    assert.strictEqual((await fetch(`${second.url}/health/live`)).status, 200)
    await second.stop()
  })
})
