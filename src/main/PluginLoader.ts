/**
 * Gets other people's plugins from a path or a package name, and checks that what it got is a
 * plugin. Decoding their configuration and starting them is `PluginGraph`'s business.
 */
import { execFile } from "node:child_process"
import { stat } from "node:fs/promises"
import { createRequire } from "node:module"
import { isAbsolute, join, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { mistakesOf, kindOf } from "../kernel/plugin/Mistake.ts"
import { type Plugin, pluginApiVersion, type ServiceKey } from "../kernel/plugin/Plugin.ts"
import { ApiVersionMismatch, PluginLoadFailed } from "../kernel/plugin/PluginError.ts"
import { shareModules } from "./SharedModules.ts"

/** How long to look for the place of a syntax error. */
const checkTimeoutMs = 5000

const Key = Schema.declare((value): value is ServiceKey => Context.isKey(value), {
  expected: "a service key",
})

const Keys = Schema.Array(Key)

/** What a plugin looks like from outside; `definePlugin` makes such values. */
const PluginValue = Schema.Struct({
  name: Schema.String.check(
    Schema.isPattern(/^[a-z][a-z0-9-]{0,63}$/, {
      expected: "at most 64 lowercase letters, digits and dashes, a letter first",
    }),
  ),
  version: Schema.String,
  apiVersion: Schema.Int,
  needs: Keys,
  provides: Keys,
  config: Schema.declare((value): value is Schema.Top => Schema.isSchema(value), {
    expected: "a Schema of effect",
  }),
  layer: Schema.declare((value): value is Plugin["layer"] => Predicate.isFunction(value), {
    expected: "a function from the configuration to a Layer",
  }),
})

const decode = Schema.decodeUnknownResult(PluginValue, { errors: "all" })

const isPath = (from: string): boolean =>
  isAbsolute(from) || /^\.\.?[/\\]/.test(from) || /\.[cm]?[jt]s$/.test(from)

const failed = (source: string, ...problems: ReadonlyArray<string>) =>
  new PluginLoadFailed({ source, problems })

/** The file that `from` means, as a URL. */
const locate = Effect.fnUntraced(function* (from: string, base: string, cwd: string) {
  if (isPath(from) || from.startsWith("file:")) {
    const path = from.startsWith("file:") ? fileURLToPath(from) : resolve(base, from)
    const stats = yield* Effect.tryPromise({
      try: () => stat(path),
      catch: () => failed(from, `there is no file ${path}`),
    })
    if (!stats.isFile()) {
      return yield* failed(from, `${path} is no file; name the plugin's .ts, .js or .mjs file`)
    }
    return pathToFileURL(path).href
  }
  return yield* Effect.try({
    try: () => {
      const parent = pathToFileURL(join(cwd, "package.json"))
      return pathToFileURL(createRequire(parent).resolve(from)).href
    },
    catch: () =>
      failed(
        from,
        `there is no package of this name to be found from ${cwd}; install it there, or write a path that begins with ./ or /`,
      ),
  })
})

/** `file:line` of a syntax error, which the error itself does not tell: Node's own check does. */
const placeOf = (url: string): Promise<string> =>
  new Promise((resolve) => {
    const file = fileURLToPath(url)
    execFile(process.execPath, ["--check", file], { timeout: checkTimeoutMs }, (_, _out, error) => {
      const place = error.split("\n").find((line) => line.startsWith(`${file}:`))
      resolve(place === undefined ? "" : ` (${place.trim()})`)
    })
  })

const reasonOf = async (cause: unknown, url: string): Promise<string> => {
  if (!(cause instanceof Error)) return String(cause)
  const { code } = cause as NodeJS.ErrnoException
  if (code === "ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING") {
    return "packages must come as JavaScript; Node strips no types below node_modules"
  }
  const line = cause.message.split("\n").find((text) => text.trim() !== "") ?? cause.name
  return cause instanceof SyntaxError ? `${line.trim()}${await placeOf(url)}` : line.trim()
}

const pluginIn = (module: Readonly<Record<string, unknown>>): unknown => {
  const { default: main, plugin } = module
  // `module.exports = { plugin }` of a CommonJS file.
  const inner = Predicate.isObject(main) ? (main as Record<string, unknown>)["plugin"] : undefined
  return (
    [main, plugin, inner].find((value) => Predicate.hasProperty(value, "apiVersion")) ??
    main ??
    plugin
  )
}

const check = Effect.fnUntraced(function* (from: string, value: unknown) {
  if (!Predicate.isObject(value)) {
    return yield* failed(
      from,
      value === undefined
        ? "exports no plugin; export one as default or under the name plugin"
        : `its export is ${kindOf(value)}, not a plugin; make one with definePlugin`,
    )
  }
  const { apiVersion, name } = value as Record<string, unknown>
  if (Predicate.isNumber(apiVersion) && apiVersion !== pluginApiVersion) {
    const plugin = Predicate.isString(name) ? `${name} (${from})` : from
    return yield* new ApiVersionMismatch({
      plugin,
      found: String(apiVersion),
      expected: pluginApiVersion,
    })
  }
  const decoded = decode(value)
  if (Result.isFailure(decoded)) {
    const problems = mistakesOf(decoded.failure.issue, value).map(
      ({ path, problem }) => `${path}: ${problem}`,
    )
    return yield* failed(from, ...problems)
  }
  return value as unknown as Plugin
})

/**
 * Loads the plugin that `from` means: a path, absolute or from `base`, or the name of a package
 * that is installed where `cwd` is. Its module runs once, in the kernel's process.
 */
export const load = Effect.fn("PluginLoader.load")(function* (
  from: string,
  base: string,
  cwd: string,
) {
  const url = yield* locate(from, base, cwd)
  shareModules()
  const module = yield* Effect.tryPromise({
    try: () => import(/* @vite-ignore */ url) as Promise<Readonly<Record<string, unknown>>>,
    catch: (cause) => ({ cause }),
  }).pipe(
    Effect.catch(({ cause }) =>
      Effect.flatMap(
        Effect.promise(() => reasonOf(cause, url)),
        (reason) => Effect.fail(failed(from, `does not load: ${reason}`)),
      ),
    ),
  )
  return yield* check(from, pluginIn(module))
})
