/**
 * Builds many plugins into one Context: decodes their configuration, starts them one after
 * another in the order of their needs, and leaves their finalizers on the current scope, so that
 * they stop in reverse. The kernel itself is one of them. Loading other people's is not its
 * business.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Scope from "effect/Scope"

import { mistakesOf } from "./Mistake.ts"
import type { ServiceKey } from "./Plugin.ts"
import {
  NeedMissing,
  PluginConfigInvalid,
  type PluginError,
  PluginsRefused,
  PluginStartFailed,
} from "./PluginError.ts"
import { arrange, type PluginEntry, type Refusal, wouldProvide } from "./PluginOrder.ts"

/** When a plugin that has not started is first named in the log, in milliseconds; then ever later. */
const firstReminderMs = 5000
/** Longest time between two reminders. */
const maxReminderMs = 60_000

/** Bounds of a start. */
export interface StartLimits {
  /** How long one plugin may take; `undefined`: as long as it needs. */
  readonly startTimeoutMs?: number | undefined
}

/** An optional plugin that does without. */
export interface Skipped {
  readonly entry: PluginEntry
  readonly error: PluginError | PluginStartFailed
}

/** The plugins that started. */
export interface PluginGraph {
  /** What they provide, and what was given. Valid while the scope is open. */
  readonly context: Context.Context<never>
  /** Names, in the order they started. */
  readonly started: ReadonlyArray<string>
  readonly skipped: ReadonlyArray<Skipped>
}

/** Keys in `input` though the schema is an empty struct, which by itself would accept anything. */
const strayKeys = (schema: Schema.Top, input: unknown): ReadonlyArray<string> => {
  const { ast } = schema
  const isEmpty =
    SchemaAST.isObjects(ast) &&
    ast.propertySignatures.length === 0 &&
    ast.indexSignatures.length === 0
  return isEmpty && Predicate.isObject(input) ? Object.keys(input) : []
}

const decodeConfig = Effect.fnUntraced(function* (entry: PluginEntry) {
  const { config, name } = entry.plugin
  const input: unknown = entry.config ?? {}
  const invalid = (mistakes: PluginConfigInvalid["mistakes"]) =>
    new PluginConfigInvalid({ plugin: name, mistakes })
  const stray = strayKeys(config, input)
  if (stray.length > 0) {
    return yield* invalid(stray.map((path) => ({ path, problem: "is not a known key" })))
  }
  return yield* Schema.decodeUnknownEffect(config, {
    errors: "all",
    onExcessProperty: "error",
  })(input).pipe(Effect.mapError(({ issue }) => invalid(mistakesOf(issue, input))))
})

const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const squashed = Cause.squash(cause)
  return squashed instanceof Error && squashed.message !== "" ? squashed.message : String(squashed)
}

const pick = (context: Context.Context<never>, keys: ReadonlyArray<ServiceKey>) =>
  Context.pick(...keys)(context) as Context.Context<never>

/** Says from time to time that the plugin `name` has not started yet. */
const remind = Effect.fnUntraced(function* (name: string) {
  let waitedMs = 0
  for (let pauseMs = firstReminderMs; ; pauseMs = Math.min(2 * pauseMs, maxReminderMs)) {
    yield* Effect.sleep(pauseMs)
    waitedMs += pauseMs
    yield* Effect.logWarning(
      `plugin ${name} is still starting after ${waitedMs / 1000} s; the kernel waits for it`,
    )
  }
})

/** Runs the start of the plugin `name` with reminders and within its time. */
const limited = <A, E, R>(
  starting: Effect.Effect<A, E, R>,
  name: string,
  { startTimeoutMs }: StartLimits,
) => {
  const timed =
    startTimeoutMs === undefined
      ? starting
      : Effect.timeoutOrElse(starting, {
          duration: startTimeoutMs,
          orElse: () =>
            Effect.die(
              `it had not started after ${startTimeoutMs} ms (SOLO_PLUGIN_START_TIMEOUT_MS)`,
            ),
        })
  return Effect.raceFirst(timed, remind(name))
}

/**
 * Starts one plugin in a scope of its own under the current one. It sees the services it named in
 * `needs` and gives out those it named in `provides`: nothing works by luck of the order.
 */
const start = Effect.fnUntraced(function* (
  entry: PluginEntry,
  config: unknown,
  context: Context.Context<never>,
  memoMap: Layer.MemoMap,
  limits: StartLimits,
) {
  const { plugin } = entry
  const scope = yield* Scope.fork(yield* Effect.scope)
  const building = Effect.suspend(() =>
    Layer.buildWithMemoMap(plugin.layer(config as never), memoMap, scope),
  )
  const built = yield* limited(building, plugin.name, limits).pipe(
    Effect.provide(pick(context, plugin.needs)),
    Effect.flatMap((built) => {
      const missing = plugin.provides.filter(({ key }) => !built.mapUnsafe.has(key))
      return missing.length === 0
        ? Effect.succeed(pick(built, plugin.provides))
        : Effect.die(
            `it promised to provide ${missing.map(({ key }) => key).join(", ")} and does not`,
          )
    }),
    // Of a plugin that stops the start, the process's scope takes care, within its time.
    Effect.onExit((exit) =>
      Exit.isFailure(exit) && entry.optional ? Scope.close(scope, exit) : Effect.void,
    ),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : Effect.fail(
            new PluginStartFailed({
              plugin: plugin.name,
              reason: reasonOf(cause),
              cause: Cause.squash(cause),
            }),
          ),
    ),
  )
  return built
})

const skip = Effect.fnUntraced(function* (
  skipped: Array<Skipped>,
  entry: PluginEntry,
  error: Skipped["error"],
) {
  skipped.push({ entry, error })
  yield* Effect.logWarning(`${error.message}; going on without it, since it is optional`)
})

/** Errors that stop the start; a need unmet only because of another of them is left out. */
const fatalOf = (refused: ReadonlyArray<Refusal>): ReadonlyArray<PluginError> => {
  const fatal = refused.filter(({ entry }) => !entry.optional)
  const names = new Set(fatal.map(({ entry }) => entry.plugin.name))
  return fatal
    .map(({ error }) => error)
    .filter((error) => error._tag !== "NeedMissing" || !names.has(error.wouldProvide ?? ""))
}

/** Decodes every section of the configuration. */
const decodeAll = Effect.fnUntraced(function* (entries: ReadonlyArray<PluginEntry>) {
  const configs = new Map<PluginEntry, unknown>()
  const refused: Array<Refusal> = []
  for (const entry of entries) {
    const config = yield* Effect.result(decodeConfig(entry))
    if (Result.isSuccess(config)) configs.set(entry, config.success)
    else refused.push({ entry, error: config.failure })
  }
  return { configs, refused }
})

/** Starts `order`; what fails and is optional is skipped, and so is what then lacks a need. */
const startAll = Effect.fnUntraced(function* (
  order: ReadonlyArray<PluginEntry>,
  configs: ReadonlyMap<PluginEntry, unknown>,
  given: Context.Context<never>,
  skipped: Array<Skipped>,
  limits: StartLimits,
) {
  const started: Array<string> = []
  const memoMap = yield* Layer.makeMemoMap
  let context = given
  for (const entry of order) {
    const { name, needs } = entry.plugin
    const unmet = needs.find(({ key }) => !context.mapUnsafe.has(key))?.key
    const attempt: Effect.Effect<Context.Context<never>, Skipped["error"], Scope.Scope> = unmet ===
    undefined
      ? start(entry, configs.get(entry), context, memoMap, limits)
      : Effect.fail(
          new NeedMissing({
            plugin: name,
            service: unmet,
            wouldProvide: wouldProvide(unmet, skipped),
          }),
        )
    const outcome = yield* Effect.result(attempt)
    if (Result.isSuccess(outcome)) {
      context = Context.merge(context, outcome.success)
      started.push(name)
      yield* Effect.logDebug(`plugin ${name} started`)
    } else if (entry.optional) {
      yield* skip(skipped, entry, outcome.failure)
    } else {
      return yield* outcome.failure
    }
  }
  return { context, started }
})

/**
 * Starts all of `entries` on top of `given`. Before anything starts, every mistake of every plugin
 * is collected, with those of `unloaded`; one plugin that is not optional stops the start. An
 * optional one that cannot take part, and optional ones that need it, are skipped with a warning.
 */
export const build = Effect.fn("PluginGraph.build")(function* (
  entries: ReadonlyArray<PluginEntry>,
  given: Context.Context<never> = Context.empty(),
  unloaded: ReadonlyArray<PluginError> = [],
  limits: StartLimits = {},
): Effect.fn.Return<PluginGraph, PluginsRefused | PluginError | PluginStartFailed, Scope.Scope> {
  const { configs, refused } = yield* decodeAll(entries)
  const sound = entries.filter((entry) => configs.has(entry))
  const givenKeys = Array.from(given.mapUnsafe.keys(), (key) => Context.Service(key))
  const arrangement = arrange(sound, givenKeys, refused)
  const [first, ...rest] = [...unloaded, ...fatalOf(arrangement.refused)]
  if (first !== undefined) return yield* new PluginsRefused({ errors: [first, ...rest] })

  const skipped: Array<Skipped> = []
  for (const { entry, error } of arrangement.refused) yield* skip(skipped, entry, error)
  const { context, started } = yield* startAll(arrangement.order, configs, given, skipped, limits)
  return { context, started, skipped }
})
