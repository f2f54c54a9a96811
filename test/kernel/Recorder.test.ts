/**
 * Events that anybody may cause at will: what is left out of the log is counted, what is queued is
 * written, and neither holds up whoever caused it (promise 9, and the bounds of design §4).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { draft } from "../../src/domain/Event.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { makeRecorder } from "../../src/kernel/log/Recorder.ts"
import { makeDisk } from "./harness/Disk.ts"
import { makeFaults } from "./harness/FaultyStorage.ts"
import { settle } from "./harness/Machine.ts"
import { layerDigest } from "./Sha256.ts"

/** A recorder of at most `perWindow` a minute on a log of its own, and what the kernel says. */
const recorder = <E>(
  perWindow: number,
  use: (
    bench: Effect.Success<ReturnType<typeof open>>,
  ) => Effect.Effect<void, E, EventStore | Scope.Scope>,
) => {
  const faults = makeFaults()
  const said: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void said.push(`${logLevel} ${message}`))
  return Effect.scoped(Effect.flatMap(open(perWindow, faults, said), use)).pipe(
    Effect.provide(
      layerEventStore.pipe(
        Layer.provideMerge(
          layerSqlite({ filename: makeDisk().database, busyTimeoutMs: 0 }, faults.open),
        ),
        Layer.provideMerge(layerDigest),
        Layer.provideMerge(Logger.layer([logger])),
      ),
    ),
  )
}

const open = Effect.fnUntraced(function* (
  perWindow: number,
  faults: ReturnType<typeof makeFaults>,
  said: Array<string>,
) {
  const scope = yield* Scope.make()
  const { flush, record } = yield* Scope.provide(makeRecorder(perWindow), scope)
  return {
    faults,
    said,
    flush,
    close: Scope.close(scope, Exit.void),
    /** Has `times` denials of a group recorded. */
    deny: (group: string, times = 1) =>
      Effect.sync(() => {
        for (let n = 0; n < times; n++)
          record(group, (unrecorded) =>
            draft("capability_denied", {
              tokenHash: null,
              reason: group,
              permission: null,
              unrecorded,
            }),
          )
      }),
  }
})

/** Every denial in the log: its group, and how many it says were left out before it. */
const denials = Effect.gen(function* () {
  const store = yield* EventStore
  const events = yield* store.filter({ types: ["capability_denied"] })
  return events.map((event) =>
    event.type === "capability_denied" ? [event.payload.reason, event.payload.unrecorded] : [],
  )
})

const minute = 60_000

describe("Recorder", () => {
  it.effect("records so many of each group in a minute, and counts the others", () =>
    recorder(2, ({ deny, flush }) =>
      Effect.gen(function* () {
        yield* deny("a", 5)
        yield* deny("b")
        yield* TestClock.adjust(minute - 1)
        yield* deny("a")
        yield* deny("b")
        yield* flush
        const first = [
          ["a", 0],
          ["a", 0],
          ["b", 0],
          ["b", 0],
        ]
        assert.deepStrictEqual(yield* denials, first)
        yield* TestClock.adjust(1)
        yield* deny("b")
        yield* deny("a", 3)
        yield* flush
        assert.deepStrictEqual(yield* denials, [...first, ["b", 0], ["a", 4], ["a", 0]])
        // What the second minute left out is told in the fourth, though the third was silent.
        yield* TestClock.adjust(2 * minute)
        yield* deny("a")
        yield* flush
        assert.deepStrictEqual((yield* denials).at(-1), ["a", 1])
      }),
    ),
  )

  it.effect("a clock that is set back does not silence it", () =>
    recorder(1, ({ deny, flush }) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(100 * minute)
        yield* deny("a", 2)
        yield* TestClock.setTime(99 * minute)
        yield* deny("a", 2)
        yield* flush
        assert.deepStrictEqual(yield* denials, [
          ["a", 0],
          ["a", 1],
        ])
      }),
    ),
  )

  it.effect("ten thousand groups are counted apart, all others together", () =>
    recorder(1, ({ deny, flush }) =>
      Effect.gen(function* () {
        // Waits for the writer now and then, which holds 256.
        for (let n = 0; n < 10_000; n++) {
          yield* deny(`${n}`)
          if (n % 250 === 249) yield* flush
        }
        yield* deny("0")
        yield* deny("late")
        yield* deny("later")
        yield* flush
        const store = yield* EventStore
        assert.strictEqual(yield* store.lastId, 10_001, "one of the latecomers")
        yield* TestClock.adjust(minute)
        // Those with nothing left to tell made room.
        yield* deny("later", 2)
        yield* deny("0")
        yield* flush
        const newest = yield* store.filter({ sinceId: 10_001 })
        assert.deepStrictEqual(
          newest.map((event) => event.type === "capability_denied" && event.payload),
          [
            { tokenHash: null, reason: "later", permission: null, unrecorded: 0 },
            { tokenHash: null, reason: "0", permission: null, unrecorded: 1 },
          ],
        )
      }),
    ),
  )

  it.effect("no group shares the count of those that found no room", () =>
    recorder(1, ({ deny, flush }) =>
      Effect.gen(function* () {
        yield* deny("")
        for (let n = 1; n < 10_000; n++) {
          yield* deny(`${n}`)
          if (n % 250 === 249) yield* flush
        }
        yield* deny("", 100)
        yield* deny("late")
        yield* flush
        assert.strictEqual(yield* EventStore.use((store) => store.lastId), 10_001, "the latecomer")
      }),
    ),
  )

  it.effect("never waits: what finds the queue full is left out and counted", () =>
    recorder(1000, ({ deny, flush }) =>
      Effect.gen(function* () {
        const before = yield* unrecorded
        yield* deny("a", 300)
        const flushing = yield* Effect.forkChild(flush, { startImmediately: true })
        yield* settle
        yield* TestClock.adjust("10 millis")
        yield* Fiber.join(flushing)
        assert.strictEqual((yield* denials).length, 256)
        assert.strictEqual((yield* unrecorded) - before, 300 - 256)
        yield* deny("a")
        yield* flush
        assert.deepStrictEqual((yield* denials).at(-1), ["a", 300 - 256])
      }),
    ),
  )

  it.effect("a log that takes nothing costs a warning, and one only until it takes again", () =>
    recorder(1000, ({ deny, faults, flush, said }) =>
      Effect.gen(function* () {
        const fail = () => faults.failWhile((sql) => sql.includes("INSERT INTO events"))
        const warnings = () => said.filter((line) => line.startsWith("Warn")).length
        fail()
        for (let n = 0; n < 3; n++) {
          yield* deny("a")
          yield* flush
        }
        assert.strictEqual(warnings(), 1)
        faults.stop()
        yield* deny("b")
        yield* flush
        assert.deepStrictEqual(yield* denials, [["b", 0]])
        fail()
        yield* deny("a")
        yield* flush
        assert.strictEqual(warnings(), 2)
      }),
    ),
  )

  it.effect("what could not be written is counted, and told once the log takes again", () =>
    recorder(2, ({ deny, faults, flush }) =>
      Effect.gen(function* () {
        const before = yield* unrecorded
        faults.failWhile((sql) => sql.includes("INSERT INTO events"))
        yield* deny("a", 5)
        yield* deny("b")
        yield* flush
        assert.strictEqual((yield* unrecorded) - before, 6)
        // The events of the second minute say what the first left out, and are not written either.
        yield* TestClock.adjust(minute)
        yield* deny("a")
        yield* TestClock.adjust(minute)
        yield* flush
        assert.strictEqual((yield* unrecorded) - before, 7)
        faults.stop()
        yield* deny("a", 2)
        yield* deny("b")
        yield* flush
        assert.deepStrictEqual(yield* denials, [
          ["a", 6],
          ["a", 0],
          ["b", 1],
        ])
        assert.strictEqual((yield* unrecorded) - before, 7)
      }),
    ),
  )

  it.effect("writes what waits when it is closed, and then has nothing to flush", () =>
    recorder(10, ({ close, deny, flush }) =>
      Effect.gen(function* () {
        yield* deny("a", 3)
        yield* close
        assert.strictEqual((yield* denials).length, 3)
        yield* flush
        yield* deny("a")
        yield* flush
        assert.strictEqual((yield* denials).length, 3)
      }),
    ),
  )

  it.effect("a flush with nothing to write returns", () =>
    recorder(10, ({ flush }) =>
      Effect.gen(function* () {
        yield* flush
        assert.strictEqual(yield* EventStore.use((store) => store.lastId), 0)
      }),
    ),
  )
})

/** How many events were left out of any log so far. */
const unrecorded = Effect.map(Metric.snapshot, (all) => {
  const state = all.find((metric) => metric.id === "solo_events_unrecorded_total")?.state
  return state === undefined ? 0 : Number((state as { readonly count: number }).count)
})
