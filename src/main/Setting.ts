/**
 * Every setting of the kernel: its key in the configuration file, its environment variable, what
 * it accepts and what it is when nobody says. `Config` reads them.
 */
import { Buffer } from "node:buffer"

import * as Schema from "effect/Schema"

import { Allowance } from "../../plugins/network/Addresses.ts"
import { between } from "../domain/Bounds.ts"
import { tokenPattern } from "./RootTokenFile.ts"

/** One setting. */
export interface Setting<A> {
  readonly env: `SOLO_${string}`
  /** Decodes the value as it stands in the file; texts of the environment are read first. */
  readonly schema: Schema.Decoder<A>
  /** What is accepted, for people. */
  readonly expected: string
  readonly fallback: A
  /** How a text of the environment reads as a value of the file. */
  readonly read: (text: string) => unknown
  /** Whether a value must never be repeated in a message. */
  readonly isSecret: boolean
}

const asText = (text: string): unknown => text

const asNumber = (text: string): unknown => (/^-?\d{1,15}$/.test(text) ? Number(text) : text)

const asBoolean = (text: string): unknown =>
  text === "true" ? true : text === "false" ? false : text

const asList = (text: string): unknown =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")

const integer = (env: `SOLO_${string}`, minimum: number, maximum: number, fallback: number) =>
  ({
    env,
    schema: between(minimum, maximum),
    expected: `a whole number from ${minimum} to ${maximum}`,
    fallback,
    read: asNumber,
    isSecret: false,
  }) satisfies Setting<number>

const text = (env: `SOLO_${string}`, expected: string, pattern: RegExp, fallback: string) =>
  ({
    env,
    schema: Schema.String.check(Schema.isPattern(pattern)),
    expected,
    fallback,
    read: asText,
    isSecret: false,
  }) satisfies Setting<string>

const secret = (env: `SOLO_${string}`, expected: string, isValid: (text: string) => boolean) =>
  ({
    env,
    schema: Schema.String.check(Schema.makeFilter(isValid)),
    expected,
    fallback: undefined,
    read: asText,
    isSecret: true,
  }) satisfies Setting<string | undefined>

const choice = <const A extends string, B extends A | undefined>(
  env: `SOLO_${string}`,
  choices: readonly [A, ...Array<A>],
  fallback: B,
): Setting<A | B> => ({
  env,
  schema: Schema.Literals(choices),
  expected: `one of ${choices.join(", ")}`,
  fallback,
  read: asText,
  isSecret: false,
})

const isKey = (text: string): boolean =>
  /^[A-Za-z0-9+/]{43}=$/.test(text) && Buffer.from(text, "base64").length === 32

/** Where a plugin comes from, as the configuration lists it. */
export const PluginReference = Schema.Union([
  Schema.String.check(Schema.isMinLength(1)),
  Schema.Struct({
    from: Schema.String.check(Schema.isMinLength(1)),
    optional: Schema.optionalKey(Schema.Boolean),
    config: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  }),
])
/** @see {@link PluginReference} */
export type PluginReference = typeof PluginReference.Type

const noPlugins: ReadonlyArray<PluginReference> = []

const noDestinations: ReadonlyArray<string> = []

const hour = 3_600_000

/** All settings, by their key in the file. */
export const settings = {
  dataDir: text("SOLO_DATA_DIR", "a path", /^[^\0]+$/, "./data"),
  host: text("SOLO_HOST", "a host name or an IP address", /^[A-Za-z0-9.:_-]{1,253}$/, "127.0.0.1"),
  port: integer("SOLO_PORT", 0, 65_535, 8080),
  rootToken: secret("SOLO_ROOT_TOKEN", "at least 32 characters without spaces", (text) =>
    tokenPattern.test(text),
  ),
  masterKey: secret("SOLO_MASTER_KEY", "32 bytes in base64", isKey),
  masterKeyPrevious: secret("SOLO_MASTER_KEY_PREVIOUS", "32 bytes in base64", isKey),
  runtime: {
    ...text("SOLO_RUNTIME", "the name of a runtime driver", /^[a-z0-9-]{1,64}$/, ""),
    fallback: undefined as string | undefined,
  },
  pluginStartTimeoutMs: {
    ...integer("SOLO_PLUGIN_START_TIMEOUT_MS", 1, 24 * hour, 0),
    fallback: undefined as number | undefined,
  },
  recoveryTimeoutMs: integer("SOLO_RECOVERY_TIMEOUT_MS", 1, 24 * hour, 120_000),
  recoveryConcurrency: integer("SOLO_RECOVERY_CONCURRENCY", 1, 1024, 8),
  autoFix: {
    env: "SOLO_AUTO_FIX",
    schema: Schema.Boolean,
    expected: "true or false",
    fallback: false,
    read: asBoolean,
    isSecret: false,
  } satisfies Setting<boolean>,
  shutdownTimeoutMs: integer("SOLO_SHUTDOWN_TIMEOUT_MS", 1, hour, 10_000),
  tokenCleanupIntervalMs: integer("SOLO_TOKEN_CLEANUP_INTERVAL_MS", 1, 24 * hour, hour),
  maxServices: integer("SOLO_MAX_SERVICES", 1, 100_000, 2000),
  maxServicesPerTenant: integer("SOLO_MAX_SERVICES_PER_TENANT", 1, 100_000, 500),
  networkAllow: {
    env: "SOLO_NETWORK_ALLOW",
    schema: Schema.Array(Allowance).check(Schema.isMaxLength(256)),
    expected: "destinations as host:port, or addresses with a prefix such as 10.0.0.0/8",
    fallback: noDestinations,
    read: asList,
    isSecret: false,
  } satisfies Setting<ReadonlyArray<string>>,
  storeMaxKeys: integer("SOLO_STORE_MAX_KEYS", 1, 1_000_000_000, 100_000),
  storeMaxBytes: integer("SOLO_STORE_MAX_BYTES", 1024, 2 ** 40, 64 * 1024 * 1024),
  storeMaxTenantBytes: integer("SOLO_STORE_MAX_TENANT_BYTES", 1024, 2 ** 40, 1024 * 1024 * 1024),
  logLevel: choice(
    "SOLO_LOG_LEVEL",
    ["trace", "debug", "info", "warn", "error", "fatal", "none"],
    "info",
  ),
  logFormat: choice("SOLO_LOG_FORMAT", ["pretty", "json"], undefined),
  plugins: {
    env: "SOLO_PLUGINS",
    schema: Schema.Array(PluginReference).check(Schema.isMaxLength(256)),
    expected: "paths or package names",
    fallback: noPlugins,
    read: asList,
    isSecret: false,
  } satisfies Setting<ReadonlyArray<PluginReference>>,
} as const

/** A setting's key in the file. */
export type SettingKey = keyof typeof settings

/** All keys, in the order of the documentation. */
export const settingKeys = Object.keys(settings) as ReadonlyArray<SettingKey>

/** The values of all settings. */
export type Settings = {
  readonly [K in SettingKey]:
    | (typeof settings)[K]["schema"]["Type"]
    | (typeof settings)[K]["fallback"]
}
