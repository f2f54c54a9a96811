/**
 * However the kernel ends, no process of a service outlives it (promise 9): also when it is killed
 * and its services loop and never look at their pipes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { descendants, isAlive } from "./Descendants.ts"
import { call, dataDirectory, kernel, ready } from "./KernelProcess.ts"

/** How long after the kernel its services may be there, in milliseconds. */
const graceMs = 1000

const sources = {
  idle: "export default { fetch: () => new Response('ok') }",
  loops: "export default { start() { setTimeout(() => { for (;;); }, 50) }, fetch() {} }",
  floods: "export default { start() { setInterval(() => console.log('x'), 1) }, fetch() {} }",
}

const levels = process.platform === "linux" ? ["bubblewrap", "sealed", "none"] : []

describe.skipIf(process.platform !== "linux")("no orphans", () => {
  for (const strongest of levels)
    it.live(`after kill -9 of the kernel, boxes of ${strongest} are gone within a second`, () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const running = yield* kernel({
          dataDir,
          env: {},
          config: { pluginConfig: { boxes: { sandbox: { strongest } } } },
        })
        yield* Effect.promise(() => ready(running))
        for (const [serviceId, source] of Object.entries(sources)) {
          const body = { serviceId, source }
          const answer = yield* Effect.promise(() =>
            call(running, "POST", "/v1/services", { tenant: "acme", body }),
          )
          assert.strictEqual(answer.status, 201, answer.text)
        }
        yield* Effect.sleep(200)
        const children = descendants(running.pid)
        assert.isAtLeast(children.length, Object.keys(sources).length)
        yield* Effect.promise(() => running.end("SIGKILL"))
        yield* Effect.sleep(graceMs)
        assert.deepStrictEqual(children.filter(isAlive), [])
      }).pipe(Effect.scoped),
    )

  it.live("after SIGTERM, none is left when the kernel has ended", () =>
    Effect.gen(function* () {
      const running = yield* kernel({ dataDir: yield* dataDirectory })
      yield* Effect.promise(() => ready(running))
      const body = { serviceId: "loops", source: sources.loops }
      yield* Effect.promise(() => call(running, "POST", "/v1/services", { tenant: "acme", body }))
      const children = descendants(running.pid)
      const end = yield* Effect.promise(() => running.end("SIGTERM"))
      assert.strictEqual(end.code, 0)
      yield* Effect.sleep(graceMs)
      assert.deepStrictEqual(children.filter(isAlive), [])
    }).pipe(Effect.scoped),
  )
})
