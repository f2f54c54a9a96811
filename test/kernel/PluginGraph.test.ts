/**
 * Plugins built in order and closed in reverse; configuration decoded once, with every mistake named.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"

import { definePlugin, type Plugin, pluginApiVersion } from "../../src/kernel/plugin/Plugin.ts"
import { build } from "../../src/kernel/plugin/PluginGraph.ts"
import { entry, key, plugin } from "./Plugins.ts"

describe("build", () => {
  it.effect("starts in order of need and stops in reverse", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const graph = yield* Effect.scoped(
        build(
          [
            entry(plugin("c", ["B"], [], notes)),
            entry(plugin("b", ["A"], ["B"], notes)),
            entry(plugin("a", ["Given"], ["A"], notes)),
          ],
          Context.make(key("Given"), "yes") as Context.Context<never>,
        ),
      )
      assert.deepStrictEqual(graph.started, ["a", "b", "c"])
      assert.deepStrictEqual(notes, ["+a", "+b", "+c", "-c", "-b", "-a"])
      assert.strictEqual(Context.getUnsafe(graph.context, key("B")), "b")
    }),
  )

  it.effect("says which plugin is still starting, ever more rarely", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const graph = build([
        entry(plugin("fine", [], ["A"])),
        entry(plugin("stuck", ["A"], [], [], Effect.never)),
      ])
      const fiber = yield* Effect.scoped(graph).pipe(
        Effect.provide(
          Logger.layer([Logger.map(Logger.formatLogFmt, (line) => void logged.push(line))]),
        ),
        Effect.forkChild({ startImmediately: true }),
      )
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(logged, [])
      yield* TestClock.adjust("4 minutes")
      const seconds = logged.map((line) => /stuck is still starting after (\d+) s/.exec(line)?.[1])
      assert.deepStrictEqual(seconds, ["5", "15", "35", "75", "135", "195"])
      yield* Fiber.interrupt(fiber)
    }),
  )

  it.effect(
    "gives up on a plugin that takes longer than it may, and goes on if it is optional",
    () =>
      Effect.gen(function* () {
        const notes: Array<string> = []
        const stuck = plugin("stuck", [], [], notes, Effect.never)
        for (const optional of [false, true]) {
          const fiber = yield* Effect.scoped(
            build(
              [entry(stuck, { optional }), entry(plugin("other", [], []))],
              Context.empty(),
              [],
              {
                startTimeoutMs: 1000,
              },
            ),
          ).pipe(Effect.result, Effect.forkChild({ startImmediately: true }))
          yield* TestClock.adjust("1 second")
          const result = yield* Fiber.join(fiber)
          if (optional) {
            assert.deepStrictEqual(Result.getOrThrow(result).started, ["other"])
          } else if (Result.isFailure(result)) {
            assert.include(result.failure.message, "plugin stuck: did not start")
            assert.include(result.failure.message, "1000 ms (SOLO_PLUGIN_START_TIMEOUT_MS)")
          } else assert.fail("it started")
        }
        assert.deepStrictEqual(notes, ["+stuck", "-stuck", "+stuck", "-stuck"])
      }),
  )

  it.effect("shows a plugin the services it named, and no others", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const nosy = plugin("nosy", ["A"], [])
      const graph = build([
        entry(plugin("a", [], ["A"])),
        entry(plugin("b", [], ["B"])),
        entry({
          ...nosy,
          layer: () =>
            Layer.effectDiscard(
              Effect.contextWith((context: Context.Context<never>) => {
                for (const name of ["A", "B"]) if (context.mapUnsafe.has(name)) seen.push(name)
                return Effect.void
              }),
            ),
        }),
      ])
      yield* Effect.scoped(graph)
      assert.deepStrictEqual(seen, ["A"])
    }),
  )

  it.effect("collects every mistake of every plugin, one line each, before anything starts", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const greeter = definePlugin({
        name: "greeter",
        version: "1.0.0",
        apiVersion: pluginApiVersion,
        needs: [],
        provides: [],
        config: Schema.Struct({
          greeting: Schema.String,
          times: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })),
        }),
        layer: () => Layer.empty,
      })
      const error = yield* Effect.flip(
        Effect.scoped(
          build([
            entry(plugin("fine", [], [], notes)),
            entry(greeter, { config: { greeting: 7, times: "many secrets", extra: 1 } }),
            entry(plugin("lost", ["X"], [])),
          ]),
        ),
      )
      assert.deepStrictEqual(error.message.split("\n").sort(), [
        "plugin greeter: config extra: is not a known key",
        "plugin greeter: config greeting: found 7, expected string",
        "plugin greeter: config times: found a string, expected number",
        "plugin lost: needs X, which no plugin provides; add one that does",
      ])
      assert.deepStrictEqual(notes, [])
    }),
  )

  it.effect("does not blame those who need a plugin that is already blamed", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(
          build([
            entry(plugin("base", [], ["B"]), { config: { typo: 1 } }),
            entry(plugin("user", ["B"], [])),
          ]),
        ),
      )
      assert.strictEqual(error.message, "plugin base: config typo: is not a known key")
    }),
  )

  it.effect("stops what had started, in reverse, when a plugin fails to start", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const failing = plugin("b", ["A"], [], notes, Effect.die(new Error("port 80 is taken")))
      const error = yield* Effect.flip(
        Effect.scoped(build([entry(plugin("a", [], ["A"], notes)), entry(failing)])),
      )
      assert.strictEqual(error.message, "plugin b: did not start: port 80 is taken")
      assert.deepStrictEqual(notes, ["+a", "+b", "-b", "-a"])
    }),
  )

  it.effect(
    "goes on without an optional plugin whatever is wrong with it, and releases it at once",
    () =>
      Effect.gen(function* () {
        const notes: Array<string> = []
        const optional = { optional: true }
        const graph = yield* Effect.scoped(
          build([
            entry(plugin("defect", [], ["D"], notes, Effect.die("boom")), optional),
            entry(
              {
                ...plugin("thrower", [], []),
                layer: () => {
                  throw new Error("early")
                },
              },
              optional,
            ),
            entry(plugin("leaner", ["D"], [], notes), optional),
            entry(plugin("config", [], []), { ...optional, config: { no: 1 } }),
            entry({ ...plugin("old", [], []), apiVersion: 0 }, optional),
            entry({ ...plugin("liar", [], []), provides: [key("Never")] }, optional),
            entry(plugin("last", [], [], notes)),
          ]),
        )
        assert.deepStrictEqual(graph.started, ["last"])
        assert.deepStrictEqual(
          graph.skipped.map(({ entry, error }) => [entry.plugin.name, error._tag]),
          [
            ["config", "PluginConfigInvalid"],
            ["old", "ApiVersionMismatch"],
            ["defect", "PluginStartFailed"],
            ["thrower", "PluginStartFailed"],
            ["leaner", "NeedMissing"],
            ["liar", "PluginStartFailed"],
          ],
        )
        assert.deepStrictEqual(notes, ["+defect", "-defect", "+last", "-last"])
      }),
  )

  it.effect("stops when a plugin that is not optional needs one that failed", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(
          build([
            entry(plugin("a", [], ["A"], [], Effect.fail("no")), { optional: true }),
            entry(plugin("b", ["A"], [])),
          ]),
        ),
      )
      assert.strictEqual(
        error.message,
        "plugin b: needs A, which a would have provided, had it started",
      )
    }),
  )

  it.effect("builds a layer that two plugins share once", () =>
    Effect.gen(function* () {
      let built = 0
      const shared = Layer.effect(
        key("Shared"),
        Effect.sync(() => String(++built)),
      )
      const user = (name: string): Plugin => ({
        ...plugin(name, [], [name]),
        layer: () =>
          Layer.effect(
            key(name),
            Effect.map(key("Shared"), (value) => value),
          ).pipe(Layer.provide(shared)) as Layer.Layer<never>,
      })
      const { context } = yield* Effect.scoped(build([entry(user("a")), entry(user("b"))]))
      assert.strictEqual(built, 1)
      assert.strictEqual(Context.getUnsafe(context, key("b")), "1")
    }),
  )

  it.effect(
    "can be interrupted while a plugin starts, optional or not, and releases everything",
    () =>
      Effect.gen(function* () {
        const notes: Array<string> = []
        const scope = yield* Scope.make()
        const fiber = yield* Effect.forkChild(
          build([
            entry(plugin("a", [], [], notes)),
            entry(plugin("slow", [], [], notes, Effect.never), { optional: true }),
            entry(plugin("after", [], [], notes)),
          ]).pipe(Scope.provide(scope)),
        )
        yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(notes, ["+a", "+slow", "-slow", "-a"])
      }),
  )
})
