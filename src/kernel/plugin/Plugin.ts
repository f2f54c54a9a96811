/**
 * The contract of a plugin: a value that names itself, says which services it needs and provides,
 * describes its configuration, and turns that into a Layer. It owns the shape of one plugin;
 * `PluginGraph` orders and builds many.
 */
import type * as Context from "effect/Context"
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"

/** The version of this contract. A plugin made for another one is refused. */
export const pluginApiVersion = 1

/** Any service key, as plugins name what they need and provide. */
// oxlint-disable-next-line typescript/no-explicit-any -- a key of whatever service
export type ServiceKey = Context.Key<any, any>

/** A plugin whose type parameters are not known: what the kernel composes. */
export interface Plugin {
  /** Lowercase letters, digits and dashes; unique in one kernel. */
  readonly name: string
  /** The plugin's own version, for people. */
  readonly version: string
  readonly apiVersion: number
  /** Services that must be there before this plugin starts. */
  readonly needs: ReadonlyArray<ServiceKey>
  /** Services that are there once it has started. */
  readonly provides: ReadonlyArray<ServiceKey>
  /** Decodes the plugin's section of the configuration; an absent section decodes `{}`. */
  readonly config: Schema.Codec<unknown, unknown>
  /** Starts the plugin; finalizers stop it. */
  readonly layer: (config: never) => Layer.Layer<never, unknown, never>
}

/**
 * Defines a plugin. The layer may need only services named in `needs`, and must provide those
 * named in `provides`: the compiler checks both.
 */
export const definePlugin = <
  Config,
  const Needs extends ReadonlyArray<ServiceKey>,
  const Provides extends ReadonlyArray<ServiceKey>,
>(plugin: {
  readonly name: string
  readonly version: string
  readonly apiVersion: number
  readonly needs: Needs
  readonly provides: Provides
  readonly config: Schema.Codec<Config, unknown>
  readonly layer: (
    config: Config,
  ) => Layer.Layer<
    Context.Service.Identifier<Provides[number]>,
    unknown,
    Context.Service.Identifier<Needs[number]>
  >
}): Plugin => plugin as unknown as Plugin
