/**
 * Plugins as authors write them: the compiler checks their config, needs and provides.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

import { definePlugin, pluginApiVersion, type ServiceKey } from "../../src/kernel/plugin/Plugin.ts"

describe("Plugin", () => {
  class Need extends Context.Service<Need, { readonly n: number }>()(
    "solo/test/kernel/Plugin.test/Need",
  ) {}
  class Other extends Context.Service<Other, { readonly o: number }>()(
    "solo/test/kernel/Plugin.test/Other",
  ) {}
  const needy = Layer.effect(
    Other,
    Effect.map(Need, ({ n }) => ({ o: n })),
  )
  const base = {
    name: "typed",
    version: "1.0.0",
    apiVersion: pluginApiVersion,
    config: Schema.Struct({ size: Schema.Int }),
  }

  it("lets the compiler check config, needs and provides", () => {
    const keys: ReadonlyArray<ServiceKey> = definePlugin({
      ...base,
      needs: [Need],
      provides: [Other],
      layer: ({ size }) =>
        Layer.effect(
          Other,
          Effect.map(Need, ({ n }) => ({ o: n + size })),
        ),
    }).needs
    definePlugin({
      ...base,
      needs: [],
      provides: [Other],
      // @ts-expect-error -- needs a service that it does not name
      // @effect-diagnostics-next-line missingLayerContext:off
      layer: () => needy,
    })
    definePlugin({
      ...base,
      needs: [Need],
      provides: [Other],
      // @ts-expect-error -- does not provide what it names
      layer: () => Layer.empty,
    })
    definePlugin({
      ...base,
      needs: [],
      provides: [],
      // @ts-expect-error -- the configuration has no such key
      layer: ({ length }) => (length === 0 ? Layer.empty : Layer.empty),
    })
    assert.deepStrictEqual(
      keys.map(({ key }) => key),
      ["solo/test/kernel/Plugin.test/Need"],
    )
  })
})
