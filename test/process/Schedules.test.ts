/**
 * Schedules in a real kernel, with a real service in its box: through kill -9 no due time runs
 * twice, and what did not run is told (promises 1 and 4).
 */
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

const source = `export default { fetch() { return new Response("ok") },
  scheduled({ cron, scheduledTime }, ctx) { ctx.log.info("due", { cron, scheduledTime }) } }`

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const lines = async (running: KernelProcess) => {
  const { json } = await call(running, "GET", "/v1/services/ticker/logs?limit=1000", {
    tenant: "acme",
  })
  return (json.items as ReadonlyArray<{ fields: { scheduledTime: number } }>).map(
    ({ fields }) => fields.scheduledTime,
  )
}

/** Waits until the service was called so often. */
const fired = async (running: KernelProcess, count: number) => {
  while ((await lines(running)).length < count) await sleep(50)
}

const missed = async (running: KernelProcess) =>
  (await allEvents(running, "&type=schedule_missed")).map(
    ({ payload }) => payload as { count: number; dueAt: string; lastDueAt: string; reason: string },
  )

describe("scheduled", () => {
  it.live(
    "runs each second once through kill -9 and a shutdown, or says that it did not",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        let running = yield* kernel({ dataDir })
        yield* Effect.promise(async () => {
          await ready(running)
          const body = { serviceId: "ticker", source, crons: ["* * * * * *"] }
          const deployed = await call(running, "POST", "/v1/services", { tenant: "acme", body })
          assert.strictEqual(deployed.status, 201, deployed.text)
        })
        for (const signal of ["SIGKILL", "SIGKILL", "SIGTERM"] as const) {
          const before = yield* Effect.promise(() => lines(running))
          yield* Effect.promise(() => fired(running, before.length + 2))
          // Long enough for the lines to be kept.
          yield* Effect.promise(() => sleep(400))
          yield* Effect.promise(() => running.end(signal))
          yield* Effect.promise(() => sleep(1500))
          running = yield* kernel({ dataDir })
          yield* Effect.promise(() => ready(running))
        }
        const before = yield* Effect.promise(() => lines(running))
        yield* Effect.promise(() => fired(running, before.length + 2))
        const times = yield* Effect.promise(() => lines(running))
        const told = yield* Effect.promise(() => missed(running))
        assert.deepStrictEqual(
          times,
          [...new Set(times)].sort((x, y) => x - y),
          "none twice",
        )
        assert.isAtLeast(told.length, 1)
        const isTold = (time: number) =>
          told.some(
            ({ dueAt, lastDueAt }) => Date.parse(dueAt) <= time && time <= Date.parse(lastDueAt),
          )
        const unaccounted: Array<number> = []
        for (let time = times[0]!; time < times.at(-1)!; time += 1000) {
          if (!times.includes(time) && !isTold(time)) unaccounted.push(time)
        }
        // A run just before a kill may have lost its line; its account says that it ran.
        assert.isAtMost(unaccounted.length, 3)
        const view = yield* Effect.promise(() =>
          call(running, "GET", "/v1/services/ticker/schedules", { tenant: "acme" }),
        )
        assert.strictEqual(view.status, 200, view.text)
        assert.strictEqual(view.json.items[0].cron, "* * * * * *")
        assert.isAbove(Date.parse(view.json.items[0].nextAt), times.at(-1)!)
      }),
    120_000,
  )

  it.live("refuses what it could not run, and names the mistake", () =>
    Effect.gen(function* () {
      const running = yield* kernel({ dataDir: yield* dataDirectory })
      yield* Effect.promise(async () => {
        await ready(running)
        const deploy = (body: unknown) =>
          call(running, "POST", "/v1/services", { tenant: "acme", body })
        const bad = await deploy({
          serviceId: "ticker",
          source,
          crons: ["* * * * *", "61 * * * *"],
        })
        assert.strictEqual(bad.status, 400)
        assert.deepStrictEqual(bad.json.errors[0].path, ["payload", "crons", 1])
        assert.match(bad.json.errors[0].message, /between 0 and 59/)
        const none = await deploy({
          serviceId: "ticker",
          source: "export default { fetch() {} }",
          crons: ["* * * * *"],
        })
        assert.strictEqual(none.status, 422)
        assert.match(none.json.detail, /no method scheduled/)
      })
    }),
  )
})
