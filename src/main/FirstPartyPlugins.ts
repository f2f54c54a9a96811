/**
 * The plugins that come with the kernel, and the sections of the configuration that the kernel's
 * own settings decide for them.
 */
import type { Plugin } from "../kernel/Plugin.ts"
import type { Config } from "./Config.ts"

/** One plugin that comes with the kernel. */
export interface FirstParty {
  readonly plugin: Plugin
  /** What the kernel's settings say about it; a section of the file adds to it. */
  readonly config: (config: Config) => Readonly<Record<string, unknown>>
}

/** Always there: storage, compiler, gateway. In no particular order. */
export const firstParty: ReadonlyArray<FirstParty> = []

/** The runtime drivers by the name that `SOLO_RUNTIME` selects, the default first. */
export const runtimes: ReadonlyArray<FirstParty> = []
