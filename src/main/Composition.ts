/**
 * Decides from the configuration which plugins make this kernel, with which sections, and builds
 * them. It runs nothing itself.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

import { suggestion } from "../kernel/plugin/Mistake.ts"
import type { PluginError } from "../kernel/plugin/PluginError.ts"
import { build } from "../kernel/plugin/PluginGraph.ts"
import type { PluginEntry } from "../kernel/plugin/PluginOrder.ts"
import type { Config } from "./Config.ts"
import { badConfiguration } from "./Exit.ts"
import type { FirstParty } from "./FirstPartyPlugins.ts"
import { load } from "./PluginLoader.ts"

/** The plugins to choose from. */
export interface Parts {
  readonly plugins: ReadonlyArray<FirstParty>
  /** The default first. */
  readonly runtimes: ReadonlyArray<FirstParty>
}

const chooseRuntime = Effect.fnUntraced(function* (config: Config, { runtimes }: Parts) {
  if (config.runtime === undefined) return runtimes.slice(0, 1)
  const names = runtimes.map(({ plugin }) => plugin.name)
  const chosen = runtimes.filter(({ plugin }) => plugin.name === config.runtime)
  if (chosen.length > 0) return chosen
  const hint = suggestion(config.runtime, names)
  return yield* badConfiguration(
    `SOLO_RUNTIME: there is no runtime driver ${config.runtime}${hint}; expected one of ${names.join(", ")}`,
  )
})

const merged = (own: unknown, section: unknown): unknown =>
  Predicate.isObject(own) && Predicate.isObject(section) ? { ...own, ...section } : (section ?? own)

const loadAll = Effect.fnUntraced(function* (config: Config, cwd: string) {
  const entries: Array<PluginEntry> = []
  const failures: Array<PluginError> = []
  for (const { config: own, from, optional } of config.plugins) {
    const loaded = yield* Effect.result(load(from, config.pluginBase, cwd))
    if (Result.isSuccess(loaded)) {
      const plugin = loaded.success
      const section = merged(own, config.pluginConfig[plugin.name])
      entries.push({ plugin, source: from, optional, config: section })
    } else if (optional) {
      yield* Effect.logWarning(
        `${loaded.failure.message}; going on without it, since it is optional`,
      )
    } else {
      failures.push(loaded.failure)
    }
  }
  return { entries, failures }
})

/** Builds the kernel that `config` asks for on top of `given`, into the current scope. */
export const compose = Effect.fn("Composition.compose")(function* (
  config: Config,
  cwd: string,
  parts: Parts,
  given: Context.Context<never>,
) {
  const runtime = yield* chooseRuntime(config, parts)
  const own = [...parts.plugins, ...runtime].map(({ config: ownConfig, plugin }): PluginEntry => ({
    plugin,
    source: "the kernel",
    optional: false,
    config: merged(ownConfig(config), config.pluginConfig[plugin.name]),
  }))
  const { entries, failures } = yield* loadAll(config, cwd)
  const all = [...own, ...entries]
  const names = all.map(({ plugin }) => plugin.name)
  const strays = Object.keys(config.pluginConfig).filter((name) => !names.includes(name))
  // A plugin that could not be loaded may be the one that a stray section is for.
  const [stray, ...others] = entries.length === config.plugins.length ? strays : []
  if (stray !== undefined) {
    const lines = [stray, ...others].map(
      (name) => `pluginConfig.${name}: there is no plugin of this name${suggestion(name, names)}`,
    )
    return yield* badConfiguration(lines[0]!, ...lines.slice(1))
  }
  return yield* build(all, given, failures, { startTimeoutMs: config.pluginStartTimeoutMs })
})
