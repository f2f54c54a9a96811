/**
 * The kernel's configuration: environment variables win over the JSON file, which wins over
 * defaults. It collects every mistake before it gives up, and repeats no secret. What a plugin's
 * section means is the plugin's business.
 */
import { dirname, resolve } from "node:path"

import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { kindOf, mistakesOf, suggestion } from "../kernel/plugin/Mistake.ts"
import { fileTrouble, readIfThere } from "./AtomicFile.ts"
import { badConfiguration } from "./Exit.ts"
import { type Setting, type SettingKey, settingKeys, type Settings, settings } from "./Setting.ts"

/** Longest text of a bad value that a message repeats. */
const maxShownLength = 64

/** Where the settings come from. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absolute. Paths in the environment are relative to it. */
  readonly cwd: string
}

/** The decoded configuration. */
export interface Config extends Omit<
  Settings,
  "rootToken" | "masterKey" | "masterKeyPrevious" | "plugins"
> {
  /** Absolute. */
  readonly dataDir: string
  /** `undefined`: generated into the data directory. */
  readonly rootToken: Redacted.Redacted | undefined
  /** 32 bytes in base64. `undefined`: generated into the data directory. */
  readonly masterKey: Redacted.Redacted | undefined
  /** The master key before it, until the vault no longer needs it. */
  readonly masterKeyPrevious: Redacted.Redacted | undefined
  readonly plugins: ReadonlyArray<{
    readonly from: string
    readonly optional: boolean
    readonly config: unknown
  }>
  /** The directory that relative paths in `plugins` start from. */
  readonly pluginBase: string
  /** Sections of the file by plugin name, not decoded yet. */
  readonly pluginConfig: Readonly<Record<string, unknown>>
}

interface File {
  /** As messages name it; `undefined` when there is none. */
  readonly name: string | undefined
  readonly directory: string
  readonly values: Readonly<Record<string, unknown>>
}

const fileKeys = [...settingKeys, "pluginConfig"]
const variables = [...settingKeys.map((key) => settings[key].env), "SOLO_CONFIG"]

const shown = (value: unknown, isSecret: boolean): string => {
  if (isSecret || !Predicate.isString(value)) {
    return isSecret && Predicate.isString(value) && value !== ""
      ? `a secret of ${value.length} characters`
      : kindOf(value)
  }
  const text = value.length > maxShownLength ? `${value.slice(0, maxShownLength)}…` : value
  return `"${text.replaceAll(/\p{Cc}/gu, "�")}"`
}

const decodeSetting = (
  source: string,
  setting: Setting<unknown>,
  value: unknown,
  mistakes: Array<string>,
): unknown => {
  const decoded = Schema.decodeUnknownResult(setting.schema, {
    errors: "all",
    onExcessProperty: "error",
  })(value)
  if (Result.isSuccess(decoded)) return decoded.success
  if (Array.isArray(value)) {
    for (const { path, problem } of mistakesOf(decoded.failure.issue, value)) {
      mistakes.push(`${source}${path}: ${problem}`)
    }
  } else {
    mistakes.push(
      `${source}: found ${shown(value, setting.isSecret)}, expected ${setting.expected}`,
    )
  }
  return undefined
}

const readFile = Effect.fnUntraced(function* ({ cwd, env }: Surroundings, mistakes: Array<string>) {
  const named = env["SOLO_CONFIG"]
  const name = named ?? "./solo.config.json"
  const path = resolve(cwd, name)
  const none: File = { name: undefined, directory: cwd, values: {} }
  const source = named === undefined ? name : `SOLO_CONFIG: ${shown(name, false)}`
  const read = yield* Effect.result(
    Effect.tryPromise({
      try: () => readIfThere(path),
      catch: (cause) => badConfiguration(`${source}: cannot be read: ${fileTrouble(cause)}`),
    }),
  )
  if (Result.isFailure(read)) {
    mistakes.push(...read.failure.lines)
    return none
  }
  if (read.success === undefined) {
    if (named !== undefined) mistakes.push(`${source}: there is no such file`)
    return none
  }
  const parsed = Schema.decodeResult(Schema.fromJsonString(Schema.Unknown))(read.success)
  if (Result.isFailure(parsed)) {
    mistakes.push(`${name}: is not JSON; check its commas, quotes and brackets`)
    return none
  }
  if (!Predicate.isObject(parsed.success)) {
    mistakes.push(`${name}: found ${kindOf(parsed.success)}, expected an object`)
    return none
  }
  return { name, directory: dirname(path), values: parsed.success as File["values"] } satisfies File
})

const reportUnknown = ({ env }: Surroundings, file: File, mistakes: Array<string>): void => {
  for (const variable of Object.keys(env)) {
    if (!variable.startsWith("SOLO_") || variables.includes(variable)) continue
    mistakes.push(`${variable}: is not a known variable${suggestion(variable, variables)}`)
  }
  for (const key of Object.keys(file.values)) {
    if (fileKeys.includes(key)) continue
    mistakes.push(`${file.name}: ${key}: is not a known key${suggestion(key, fileKeys)}`)
  }
}

/** Which source a setting's value came from. */
type Origin = "env" | "file" | "default"

const decodeAll = ({ env }: Surroundings, file: File, mistakes: Array<string>) => {
  const values: Partial<Record<SettingKey, unknown>> = {}
  const origins: Partial<Record<SettingKey, Origin>> = {}
  for (const key of settingKeys) {
    const setting: Setting<unknown> = settings[key]
    const variable = env[setting.env]
    const inFile = Object.hasOwn(file.values, key)
      ? decodeSetting(`${file.name}: ${key}`, setting, file.values[key], mistakes)
      : undefined
    const inEnv =
      variable === undefined
        ? undefined
        : decodeSetting(setting.env, setting, setting.read(variable), mistakes)
    values[key] = inEnv ?? inFile ?? setting.fallback
    origins[key] = inEnv !== undefined ? "env" : inFile !== undefined ? "file" : "default"
  }
  return { values: values as Settings, origins }
}

const sectionsOf = (file: File, mistakes: Array<string>): Readonly<Record<string, unknown>> => {
  const sections = file.values["pluginConfig"] ?? {}
  if (!Predicate.isObject(sections)) {
    mistakes.push(
      `${file.name}: pluginConfig: found ${kindOf(sections)}, expected an object with one section per plugin`,
    )
    return {}
  }
  for (const [name, section] of Object.entries(sections)) {
    if (Predicate.isObject(section)) continue
    mistakes.push(
      `${file.name}: pluginConfig.${name}: found ${kindOf(section)}, expected an object`,
    )
  }
  return sections as Readonly<Record<string, unknown>>
}

const redact = (secret: string | undefined, label: string): Redacted.Redacted | undefined =>
  secret === undefined ? undefined : Redacted.make(secret, { label })

/** Reads the configuration; fails with exit code 78 and one line per mistake. */
export const load = Effect.fn("Config.load")(function* (surroundings: Surroundings) {
  const mistakes: Array<string> = []
  const file = yield* readFile(surroundings, mistakes)
  reportUnknown(surroundings, file, mistakes)
  const { origins, values } = decodeAll(surroundings, file, mistakes)
  const pluginConfig = sectionsOf(file, mistakes)
  if (origins.masterKeyPrevious !== "default" && origins.masterKey === "default") {
    mistakes.push(
      "SOLO_MASTER_KEY_PREVIOUS: is the key that SOLO_MASTER_KEY replaces, and that is not given",
    )
  }
  const [first, ...rest] = mistakes
  if (first !== undefined) return yield* badConfiguration(first, ...rest)
  const baseOf = (key: SettingKey) => (origins[key] === "file" ? file.directory : surroundings.cwd)
  return {
    ...values,
    dataDir: resolve(baseOf("dataDir"), values.dataDir),
    rootToken: redact(values.rootToken, "root token"),
    masterKey: redact(values.masterKey, "master key"),
    masterKeyPrevious: redact(values.masterKeyPrevious, "master key"),
    plugins: values.plugins.map((reference) => {
      const { config, from, optional } =
        typeof reference === "string"
          ? { from: reference }
          : { config: undefined, optional: false, ...reference }
      return { from, optional: optional ?? false, config }
    }),
    pluginBase: baseOf("plugins"),
    pluginConfig,
  } satisfies Config as Config
})
