/**
 * SIGTERM against a real kernel that cannot have its way: services that ignore `stop`, and a
 * database that takes nothing (promises 1 and 9).
 */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import {
  allEvents,
  call,
  dataDirectory,
  kernel,
  type KernelProcess,
  ready,
} from "./KernelProcess.ts"

const stubborn = "export default { fetch: () => new Response('here'), stop() { for (;;); } }"
const hanging = "export default { fetch: () => new Promise(() => {}) }"
const neverStarting = "export default { start: () => new Promise(() => {}), fetch() {} }"
const obliging = "export default { fetch: () => new Response('here') }"

const deploy = async (running: KernelProcess, serviceId: string, source: string, limits = {}) => {
  const body = { serviceId, source, limits }
  const answer = await call(running, "POST", "/v1/services", { tenant: "acme", body })
  assert.strictEqual(answer.status, 201, answer.text)
}

const statuses = async (running: KernelProcess) => {
  const { json } = await call(running, "GET", "/v1/services", { tenant: "acme" })
  return json.items.map(({ serviceId, status }: Record<string, string>) => [serviceId, status])
}

/** Waits until a request is under way in a service. */
const asked = async (running: KernelProcess, serviceId: string) => {
  for (;;) {
    const { json } = await call(running, "GET", `/v1/services/${serviceId}`, { tenant: "acme" })
    if (json.inFlight > 0) return
  }
}

/** How the run before the present one ended, as the log of the present one says. */
const previousEnd = async (running: KernelProcess) =>
  (await allEvents(running, "&type=system_started")).at(-1)!["payload"] as {
    readonly previousEnd: string
  }

describe("a shutdown that meets resistance", () => {
  it.live("3.7.6 services that ignore stop are killed in their time; it ends with 0", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const env = { SOLO_SHUTDOWN_TIMEOUT_MS: "20000" }
      const first = yield* kernel({ dataDir, env })
      yield* Effect.promise(async () => {
        await ready(first)
        await deploy(first, "obliging", obliging)
        await deploy(first, "stubborn", stubborn, { shutdownTimeoutMs: 300 })
        // Longer than the share that services have of the whole.
        await deploy(first, "very-stubborn", stubborn, { shutdownTimeoutMs: 60_000 })
        assert.deepStrictEqual(await first.end("SIGTERM"), { code: 0, signal: null })
      })
      const second = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(second)
        assert.strictEqual((await previousEnd(second)).previousEnd, "clean")
        assert.deepStrictEqual(await statuses(second), [
          ["obliging", "running"],
          ["stubborn", "running"],
          ["very-stubborn", "running"],
        ])
      })
    }),
  )

  it.live("a request that hangs and a service that ignores stop cost it no last word", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const env = { SOLO_SHUTDOWN_TIMEOUT_MS: "8000" }
      const first = yield* kernel({ dataDir, env })
      yield* Effect.promise(async () => {
        await ready(first)
        await deploy(first, "stubborn", stubborn, { shutdownTimeoutMs: 60_000 })
        await deploy(first, "hanging", hanging)
        const hung = fetch(`${first.url}/services/acme/hanging/`, {
          headers: { authorization: `Bearer ${first.token}` },
        }).catch((error: unknown) => error)
        await asked(first, "hanging")
        assert.deepStrictEqual(await first.end("SIGTERM"), { code: 0, signal: null })
        assert.instanceOf(await hung, Error)
      })
      const second = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(second)
        assert.strictEqual((await previousEnd(second)).previousEnd, "clean")
      })
    }),
  )

  it.live("a deployment whose start never ends costs it no last word", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const first = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(first)
        const body = {
          serviceId: "never",
          source: neverStarting,
          limits: { startupTimeoutMs: 300_000 },
        }
        const deploying = call(first, "POST", "/v1/services", { tenant: "acme", body })
        for (;;) {
          const { status } = await call(first, "GET", "/v1/services/never", { tenant: "acme" })
          if (status === 200) break
        }
        const [end, answer] = await Promise.all([first.end("SIGTERM"), deploying])
        assert.deepStrictEqual(end, { code: 0, signal: null })
        assert.strictEqual(answer.status, 503, answer.text)
        assert.include(answer.json.type, "kernel-stopping")
      })
      const second = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(second)
        assert.strictEqual((await previousEnd(second)).previousEnd, "clean")
        assert.deepStrictEqual(await statuses(second), [])
      })
    }),
  )

  it.live("3.7.5 a database that takes nothing: it ends with 1, says why, and loses nothing", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const first = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(first)
        await deploy(first, "kept", obliging)
        const other = new DatabaseSync(join(dataDir, "solo.db"))
        other.exec("BEGIN IMMEDIATE")
        assert.strictEqual((await first.end("SIGTERM")).code, 1)
        other.close()
        assert.match(first.output().stderr, /solo: announce: .*another process holds the database/)
      })
      const second = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(second)
        assert.strictEqual((await previousEnd(second)).previousEnd, "unclean")
        assert.deepStrictEqual(await statuses(second), [["kept", "running"]])
      })
    }),
  )
})
