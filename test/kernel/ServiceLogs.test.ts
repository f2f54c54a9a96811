/** What services print: bounded, filtered, followed, gone with the service (promise 6). */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"

import type { ServiceLogLevel } from "../../src/kernel/services/Runtime.ts"
import { ServiceLogs } from "../../src/kernel/services/ServiceLogs.ts"
import { named, settle } from "./harness/Machine.ts"

const a = named("acme", "a")
const other = named("zeta", "a")

const line = (n: number, level: ServiceLogLevel = "info") => ({
  time: new Date(n).toISOString(),
  level,
  message: `${n}`,
})

const writeAll = (logs: ServiceLogs["Service"], from: number, to: number) =>
  Effect.forEach(
    Array.from({ length: to - from }, (_, n) => from + n),
    (n) => logs.write(a, line(n)),
    { discard: true },
  )

const messages = (lines: Iterable<{ readonly message: string }>) =>
  Array.from(lines, ({ message }) => Number(message))

describe("ServiceLogs", () => {
  it.effect("keeps the newest thousand lines of each service", () =>
    Effect.gen(function* () {
      const logs = yield* ServiceLogs
      yield* logs.open(a)
      yield* logs.open(other)
      yield* writeAll(logs, 0, 4321)
      const kept = messages(yield* logs.read(a))
      assert.deepStrictEqual([kept.length, kept[0], kept.at(-1)], [1000, 3321, 4320])
      assert.deepStrictEqual(yield* logs.read(other), [])
    }).pipe(Effect.provide(ServiceLogs.layer)),
  )

  it.effect("filters by level and time, kept and live alike", () =>
    Effect.gen(function* () {
      const logs = yield* ServiceLogs
      yield* logs.open(a)
      const levels = ["debug", "info", "warn", "error"] as const
      const filter = { level: "warn", since: line(2).time } as const
      const writeLevels = (from: number) =>
        Effect.forEach(levels, (level, n) => logs.write(a, line(from + n, level)))
      yield* writeLevels(0)
      assert.deepStrictEqual(messages(yield* logs.read(a, filter)), [2, 3])
      const live = yield* logs
        .follow(a, filter)
        .pipe(Stream.take(4), Stream.runCollect, Effect.forkChild({ startImmediately: true }))
      yield* writeLevels(4)
      assert.deepStrictEqual(messages(yield* Fiber.join(live)), [2, 3, 6, 7])
    }).pipe(Effect.provide(ServiceLogs.layer)),
  )

  it.effect("ends its followers when the service is killed, with what they had", () =>
    Effect.gen(function* () {
      const logs = yield* ServiceLogs
      yield* logs.open(a)
      yield* writeAll(logs, 0, 3)
      const live = yield* logs
        .follow(a)
        .pipe(Stream.runCollect, Effect.forkChild({ startImmediately: true }))
      yield* settle
      yield* writeAll(logs, 3, 5)
      yield* settle
      yield* logs.close(a)
      assert.deepStrictEqual(messages(yield* Fiber.join(live)), [0, 1, 2, 3, 4])
      assert.strictEqual((yield* Effect.flip(logs.read(a)))._tag, "ServiceNotFound")
      yield* logs.write(a, line(9))
    }).pipe(Effect.provide(ServiceLogs.layer)),
  )
})
