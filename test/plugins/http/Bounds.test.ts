/**
 * The bounds that keep one client from holding the gateway for ever.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { assert, describe, it } from "vitest"

import { rootToken } from "./FakeKernel.ts"
import { spec, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"

describe("a bound", () => {
  it("on an API call ends it with 504 and interrupts what it started", async () => {
    const gateway = await startGateway({ requestTimeoutMs: 50 })
    const interrupted = Deferred.makeUnsafe<void>()
    gateway.kernel.control.deploying = Effect.onInterrupt(Effect.never, () =>
      Deferred.succeed(interrupted, undefined),
    )
    await assertProblem(await gateway.deploy(spec("slow")), 504, "request-timed-out")
    await Effect.runPromise(Deferred.await(interrupted))
    await gateway.stop()
  })

  it("on connections closes those beyond it and keeps the others", async () => {
    const gateway = await startGateway({ maxConnections: 1 })
    const first = await gateway.connect()
    const ask = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    const answered = () =>
      new Promise<string>((resolve) => first.once("data", (data: Buffer) => resolve(String(data))))
    first.write(ask)
    assert.match(await answered(), /^HTTP\/1\.1 200/)
    assert.strictEqual(await gateway.raw(ask).catch(() => ""), "")
    first.write(ask)
    assert.match(await answered(), /^HTTP\/1\.1 200/)
    first.destroy()
    await gateway.stop()
  })

  it("on silence ends a connection whose client stopped reading", async () => {
    const gateway = await startGateway({ idleTimeoutMs: 300 })
    const aborted = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Effect.onInterrupt(Effect.never, () => Deferred.succeed(aborted, undefined))
    const socket = await gateway.connect()
    socket.on("error", () => {})
    const closed = new Promise((resolve) => socket.once("close", () => resolve("closed")))
    socket.write(
      `GET /services/acme/x/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${rootToken}\r\n\r\n`,
    )
    assert.strictEqual(await closed, "closed")
    await Effect.runPromise(Deferred.await(aborted))
    await gateway.stop()
  })

  it("in the configuration is refused outside its range", async () => {
    for (const settings of [
      { port: 65_536 },
      { port: "80" },
      { host: "" },
      { maxBodyBytes: 0 },
      { drainTimeoutMs: -1 },
    ]) {
      const refused = await startGateway(settings).then(
        () => false,
        () => true,
      )
      assert.isTrue(refused, JSON.stringify(settings))
    }
  })
})
