/**
 * Plugins for tests: each provides its keys with its own name and notes when it starts and stops.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

import { type Plugin, pluginApiVersion } from "../../src/kernel/plugin/Plugin.ts"
import type { PluginEntry } from "../../src/kernel/plugin/PluginOrder.ts"

export const key = (name: string) => Context.Service<string, string>(name)

/** A plugin that provides its keys with its own name and notes what happens to it. */
export const plugin = (
  name: string,
  needs: ReadonlyArray<string>,
  provides: ReadonlyArray<string>,
  notes: Array<string> = [],
  start: Effect.Effect<void, unknown> = Effect.void,
): Plugin => ({
  name,
  version: "1.0.0",
  apiVersion: pluginApiVersion,
  needs: needs.map(key),
  provides: provides.map(key),
  config: Schema.Struct({}),
  layer: () =>
    Layer.effectContext(
      Effect.gen(function* () {
        yield* Effect.acquireRelease(
          Effect.sync(() => notes.push(`+${name}`)),
          () => Effect.sync(() => notes.push(`-${name}`)),
        )
        yield* start
        return Context.makeUnsafe<never>(new Map(provides.map((provided) => [provided, name])))
      }),
    ),
})

export const entry = (plugin: Plugin, options: Partial<PluginEntry> = {}): PluginEntry => ({
  plugin,
  source: "test",
  optional: false,
  config: undefined,
  ...options,
})

export const namesOf = (entries: ReadonlyArray<PluginEntry>) =>
  entries.map(({ plugin }) => plugin.name)
