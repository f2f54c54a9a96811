/** The beginning and the end of a run (promises 2, 9). */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { boot, deploy, halt, named, running } from "./harness/Machine.ts"

const a = named("acme", "a")

describe("Lifecycle", () => {
  it.effect("smoke", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
      yield* halt(kernel)
      const next = yield* boot({ disk: kernel.disk })
      assert.deepStrictEqual(running(next), ["acme/a@1"])
    }),
  )
})
