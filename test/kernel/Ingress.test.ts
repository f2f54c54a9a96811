/** The way of a request into a service (promises 6, 10). */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { boot, build, deploy, halt, kill, named, pullPlug, settle } from "./harness/Machine.ts"

const a = named("acme", "a")
const request = { method: "GET", url: "http://service/", headers: [], body: null }

describe("Ingress", () => {
  it.effect("finds the running service of its own tenant, and no other", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      assert.strictEqual((yield* kernel.ingress.request(a, request)).status, 200)
      const stranger = yield* Effect.flip(kernel.ingress.request(named("zeta", "a"), request))
      assert.strictEqual(stranger._tag, "ServiceNotFound")
      yield* kill(kernel, a)
      const dead = yield* Effect.flip(kernel.ingress.request(a, request))
      assert.strictEqual(dead._tag, "ServiceNotFound")
    }),
  )

  it.effect("says that a service is not running, and how it is", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      kernel.world.crash(a)
      yield* settle
      const error = yield* Effect.flip(kernel.ingress.request(a, request))
      assert.deepInclude(error, { _tag: "NotRunning", undelivered: true })
      assert.match(error.message, /restarting/)
    }),
  )

  it.effect("denies no service before recovery has said what there is (promise 10)", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      const [next, start] = yield* build({ disk: pullPlug(kernel) })
      yield* Effect.addFinalizer(() => halt(next))
      const early = yield* Effect.flip(next.ingress.request(a, request))
      assert.deepInclude(early, { _tag: "NotRunning", undelivered: true })
      yield* start
      assert.strictEqual((yield* next.ingress.request(a, request)).status, 200)
      const none = yield* Effect.flip(next.ingress.request(named("acme", "none"), request))
      assert.strictEqual(none._tag, "ServiceNotFound")
    }),
  )
})
