/**
 * The plugins that come with the kernel, and the sections of the configuration that the kernel's
 * own settings decide for them.
 */
import { join } from "node:path"

import boxes from "../../plugins/boxes/index.ts"
import http from "../../plugins/http/index.ts"
import logfiles from "../../plugins/logfiles/index.ts"
import network from "../../plugins/network/index.ts"
import sqlite from "../../plugins/sqlite/index.ts"
import threads from "../../plugins/threads/index.ts"
import typescript from "../../plugins/typescript/index.ts"
import { drainShare } from "../kernel/KernelConfig.ts"
import type { Plugin } from "../kernel/plugin/Plugin.ts"
import type { Config } from "./Config.ts"
import { kernelPlugin } from "./KernelPlugin.ts"

/** One plugin that comes with the kernel. */
export interface FirstParty {
  readonly plugin: Plugin
  /** What the kernel's settings say about it; a section of the file adds to it. */
  readonly config: (config: Config) => Readonly<Record<string, unknown>>
}

/** Always there, in no particular order: the kernel itself, its drivers, and the gateway. */
export const firstParty: ReadonlyArray<FirstParty> = [
  {
    plugin: sqlite,
    config: ({ dataDir }) => ({ filename: join(dataDir, "solo.db") }),
  },
  { plugin: logfiles, config: ({ dataDir }) => ({ directory: join(dataDir, "logs") }) },
  { plugin: typescript, config: () => ({}) },
  { plugin: network, config: ({ networkAllow }) => ({ allow: networkAllow }) },
  {
    plugin: kernelPlugin,
    config: (config) => ({
      recoveryTimeoutMs: config.recoveryTimeoutMs,
      recoveryConcurrency: config.recoveryConcurrency,
      shutdownTimeoutMs: config.shutdownTimeoutMs,
      maxServices: config.maxServices,
      maxServicesPerTenant: config.maxServicesPerTenant,
      storeMaxKeys: config.storeMaxKeys,
      storeMaxBytes: config.storeMaxBytes,
      storeMaxTenantBytes: config.storeMaxTenantBytes,
      tokenCleanupIntervalMs: config.tokenCleanupIntervalMs,
      autoFix: config.autoFix,
    }),
  },
  {
    plugin: http,
    config: ({ host, port, shutdownTimeoutMs }) => ({
      host,
      port,
      drainTimeoutMs: Math.ceil(shutdownTimeoutMs * drainShare),
    }),
  },
]

/** The runtime drivers by the name that `SOLO_RUNTIME` selects, the default first. */
export const runtimes: ReadonlyArray<FirstParty> = [
  { plugin: boxes, config: () => ({}) },
  { plugin: threads, config: () => ({}) },
]
