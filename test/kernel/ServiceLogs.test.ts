/**
 * What services print: bounded, filtered, followed, kept beyond restarts and kills, and never in
 * the way of anything else (promises 4 and 6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

import {
  type KeptLine,
  LogStore,
  LogStoreFailed,
  maxLinesRead,
} from "../../src/kernel/services/LogStore.ts"
import type { ServiceLogLevel, ServiceLogLine } from "../../src/kernel/services/Runtime.ts"
import { ServiceLogs } from "../../src/kernel/services/ServiceLogs.ts"
import { layerServiceLogs } from "../../src/kernel/services/ServiceLogsKept.ts"
import { named, pass, settle } from "./harness/Machine.ts"

const a = named("acme", "a")
const other = named("zeta", "a")

const layer = layerServiceLogs.pipe(
  Layer.provideMerge(LogStore.layerMemory),
  Layer.provideMerge(Logger.layer([])),
)

const line = (n: number, level: ServiceLogLevel = "info") => ({
  time: new Date(n).toISOString(),
  level,
  message: `${n}`,
})

const writeAll = (write: (line: ServiceLogLine) => void, from: number, to: number) =>
  Effect.sync(() => {
    for (let n = from; n < to; n++) write(line(n))
  })

const messages = (lines: Iterable<{ readonly message: string }>) =>
  Array.from(lines, ({ message }) => Number(message))

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n)

describe("ServiceLogs", () => {
  it.effect("keeps the newest lines of each service, as many as the store does", () =>
    Effect.gen(function* () {
      const logs = yield* ServiceLogs
      const write = yield* logs.open(a)
      yield* logs.open(other)
      for (let from = 0; from < 4000; from += 500) {
        yield* writeAll(write, from, from + 500)
        yield* pass(200)
      }
      yield* writeAll(write, 4000, 4321)
      const kept = messages(yield* logs.read(a))
      assert.deepStrictEqual(kept, range(3000, 4321))
      assert.deepStrictEqual(yield* logs.read(other), [])
    }).pipe(Effect.provide(layer)),
  )

  it.effect("filters by level, time and place, kept and live alike", () =>
    Effect.gen(function* () {
      const logs = yield* ServiceLogs
      const write = yield* logs.open(a)
      const levels = ["debug", "info", "warn", "error"] as const
      const filter = { level: "warn", since: Date.parse(line(2).time) } as const
      const writeLevels = (from: number) =>
        Effect.sync(() => levels.forEach((level, n) => write(line(from + n, level))))
      yield* writeLevels(0)
      assert.deepStrictEqual(messages(yield* logs.read(a, filter)), [2, 3])
      const live = yield* logs
        .follow(a, filter)
        .pipe(Stream.take(4), Stream.runCollect, Effect.forkChild({ startImmediately: true }))
      yield* writeLevels(4)
      assert.deepStrictEqual(messages(yield* Fiber.join(live)), [2, 3, 6, 7])
      const [first, second] = yield* logs.read(a, { limit: 2 })
      assert.deepStrictEqual(messages([first!, second!]), [0, 1])
      const rest = yield* logs.read(a, { after: second!.id, level: "error", limit: 9 })
      assert.deepStrictEqual(messages(rest), [3, 7])
    }).pipe(Effect.provide(layer)),
  )

  it.effect("ends its followers when the service is killed, with what they had; lines stay", () =>
    Effect.gen(function* () {
      const logs = yield* ServiceLogs
      const write = yield* logs.open(a)
      yield* writeAll(write, 0, 3)
      const follow = logs
        .follow(a)
        .pipe(Stream.runCollect, Effect.forkChild({ startImmediately: true }))
      const live = yield* follow
      yield* settle
      yield* writeAll(write, 3, 5)
      yield* settle
      yield* logs.close(a)
      write(line(9))
      assert.deepStrictEqual(messages(yield* Fiber.join(live)), range(0, 5))
      for (const ms of [0, 1000]) {
        yield* pass(ms)
        assert.deepStrictEqual(messages(yield* logs.read(a)), range(0, 5))
        assert.deepStrictEqual(messages(yield* Fiber.join(yield* follow)), range(0, 5))
      }
      assert.strictEqual((yield* Effect.flip(logs.read(other)))._tag, "ServiceNotFound")
      yield* logs.open(a)
      write(line(5))
      assert.deepStrictEqual(messages(yield* logs.read(a)), range(0, 6), "the next life goes on")
    }).pipe(Effect.provide(layer)),
  )

  const step = Schema.Union([
    Schema.Struct({ write: Schema.Literals([1, 3, 40, 300]) }),
    Schema.Struct({ pass: Schema.Literals([1, 200, 1000]) }),
  ])
  it.effect.prop(
    "pages and followers see every line once, whatever is stored meanwhile",
    [Schema.Array(step).check(Schema.isMaxLength(12)), Schema.Literals([1, 7, 100])],
    ([steps, limit]) =>
      Effect.gen(function* () {
        const logs = yield* ServiceLogs
        const write = yield* logs.open(a)
        let written = 0
        const followed: Array<number> = []
        const follower = logs
          .follow(a)
          .pipe(Stream.runForEach(({ message }) => Effect.sync(() => followed.push(+message))))
        yield* Effect.forkChild(follower, { startImmediately: true })
        const paged: Array<number> = []
        let after: number | undefined
        const page = Effect.gen(function* () {
          const lines = yield* logs.read(a, { after, limit })
          after = lines.at(-1)?.id ?? after
          paged.push(...messages(lines))
          return lines.length
        })
        for (const step of steps) {
          if ("pass" in step) yield* pass(step.pass)
          else {
            yield* writeAll(write, written, (written += step.write))
            if (written > 900) break
          }
          yield* page
        }
        while ((yield* page) > 0);
        yield* settle
        assert.deepStrictEqual(paged, range(0, written))
        assert.deepStrictEqual(followed, range(0, written))
      }).pipe(Effect.provide(Layer.fresh(layer))),
  )

  it.effect("goes on in memory while nothing can be kept, and keeps it when it can again", () => {
    const kept: Array<KeptLine> = []
    let isFull = true
    const full = new LogStoreFailed({ message: "the disk is full" })
    const store = Layer.succeed(
      LogStore,
      LogStore.of({
        append: (_, lines) =>
          isFull ? Effect.fail(full) : Effect.sync(() => void kept.push(...lines)),
        read: () => (isFull ? Effect.fail(full) : Effect.succeed(kept)),
        lastId: () => Effect.fail(full),
      }),
    )
    return Effect.gen(function* () {
      const logs = yield* ServiceLogs
      const write = yield* logs.open(a)
      yield* writeAll(write, 0, 20)
      yield* pass(30_000, 1000)
      assert.deepStrictEqual(messages(yield* logs.read(a)), range(0, 20))
      for (let from = 20; from < maxLinesRead; from += 1000) {
        yield* writeAll(write, from, from + 1000)
        yield* pass(10)
      }
      const bounded = messages(yield* logs.read(a))
      assert.isBelow(bounded.length, 5000, "memory is bounded")
      assert.strictEqual(bounded.at(-1), 10_019)
      isFull = false
      yield* pass(10_000, 1000)
      assert.strictEqual(kept.at(-1)?.message, "10019")
    }).pipe(
      Effect.provide(
        layerServiceLogs.pipe(Layer.provide(store), Layer.provideMerge(Logger.layer([]))),
      ),
    )
  })

  it.effect("loses nothing when it closes, and numbers lines on although the clock went back", () =>
    Effect.gen(function* () {
      const run = Effect.fnUntraced(function* (from: number) {
        const logs = yield* ServiceLogs
        const write = yield* logs.open(a)
        yield* writeAll(write, from, from + 10)
      })
      const once = (from: number) => Effect.provide(run(from), Layer.fresh(layerServiceLogs))
      yield* TestClock.setTime(1_000_000)
      yield* once(0)
      yield* TestClock.setTime(1000)
      yield* once(10)
      const lines = yield* (yield* LogStore).read(a, {})
      assert.deepStrictEqual(messages(lines), range(0, 20))
      assert.isTrue(lines.every(({ id }, n) => n === 0 || id > lines[n - 1]!.id))
    }).pipe(Effect.provide(LogStore.layerMemory.pipe(Layer.provideMerge(Logger.layer([]))))),
  )
})
