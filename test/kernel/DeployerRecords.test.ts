/** What the deployer writes down and shows, beside what it does (promises 6, 10). */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { boot, deploy, kill, named, settle, statusOf } from "./harness/Machine.ts"

const a = named("acme", "a")
const b = named("acme", "b")
const once = { restart: "temporary" }

describe("Deployer's records", () => {
  it.effect("a refusal is logged for its tenant, service and caller (promise 6)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* Effect.flip(deploy(kernel, a, { start: "fail" }))
      const [event] = yield* kernel.store.filter({ types: ["service_deployment_failed"] })
      assert.deepInclude(event, { ...a, actor: "token-of-the-test" })
    }),
  )

  it.effect("a refused deployment puts back what it would have replaced", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, { n: 1 }, once)
      kernel.world.crash(a)
      yield* settle
      assert.strictEqual(yield* statusOf(kernel, a), "failed")
      yield* Effect.flip(deploy(kernel, a, { start: "fail" }))
      assert.strictEqual(yield* statusOf(kernel, a), "failed")
    }),
  )

  it.effect("deploying again what ended keeps the time of its deployment", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const first = yield* deploy(kernel, a, { n: 1 }, once)
      kernel.world.crash(a)
      yield* settle
      const again = yield* deploy(kernel, a, { n: 1 }, once)
      assert.isFalse(again.created)
      assert.strictEqual(again.service.deployedAt, first.service.deployedAt)
      assert.strictEqual(again.service.revision, 1)
    }),
  )

  it.effect("a list keeps to its status and its limit", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, once)
      yield* deploy(kernel, b)
      kernel.world.crash(a)
      yield* settle
      const list = (options: { status?: "failed"; limit: number }) =>
        Effect.map(kernel.deployer.list(a.tenantId, options), (views) =>
          views.map((view) => view.serviceId as string),
        )
      assert.deepStrictEqual(yield* list({ limit: 10 }), ["a", "b"])
      assert.deepStrictEqual(yield* list({ limit: 1 }), ["a"])
      assert.deepStrictEqual(yield* list({ status: "failed", limit: 10 }), ["a"])
    }),
  )

  it.effect("a kill asks the service to stop first, unless it is forced", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* kernel.deployer.kill({ tenantId: a.tenantId, actor: null }, a.serviceId)
      yield* deploy(kernel, b)
      yield* kill(kernel, b, true)
      const stops = kernel.world.history.filter((what) => what.startsWith("stop"))
      assert.deepStrictEqual(stops, ["stop acme/a@1"])
    }),
  )
})
