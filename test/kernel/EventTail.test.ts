/**
 * The newest events in memory: never a gap for those who follow (promise 5), and never more than
 * its bounds.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"

import { draft, type Event } from "../../src/domain/Event.ts"
import { type EventTail, makeEventTail } from "../../src/kernel/log/EventTail.ts"

/** The events `first` to `last`. */
const events = (first: number, last: number): ReadonlyArray<Event> =>
  Array.from({ length: last - first + 1 }, (_, index) => ({
    ...draft("system_shutdown_started", { reason: "x" }),
    id: first + index,
    version: 1,
    time: "2026-01-01T00:00:00.000Z",
    hash: "0".repeat(64),
  }))

const push = (tail: EventTail, some: ReadonlyArray<Event>, bytes = 10) =>
  tail.push(
    some,
    some.map(() => bytes),
  )

/** The ids after `id`, or `undefined` where only the database knows them. */
const after = (tail: EventTail, id: number) => tail.after(id)?.map((event) => event.id)

/** The smallest id from which on a tail has everything. */
const reach = (tail: EventTail) => {
  let id = tail.lastId()
  while (id > 0 && tail.after(id - 1) !== undefined) id--
  return id
}

describe("EventTail", () => {
  it.effect("answers what came after an event, or that it does not know (promise 5)", () =>
    Effect.gen(function* () {
      const tail = yield* makeEventTail(5)
      assert.strictEqual(tail.lastId(), 5)
      assert.deepStrictEqual(after(tail, 5), [])
      assert.isUndefined(after(tail, 4), "from before it began")
      yield* push(tail, events(6, 8))
      assert.strictEqual(tail.lastId(), 8)
      assert.deepStrictEqual(after(tail, 5), [6, 7, 8])
      assert.deepStrictEqual(after(tail, 7), [8])
      assert.deepStrictEqual(after(tail, 8), [])
      assert.deepStrictEqual(after(tail, 99), [])
      assert.isUndefined(after(tail, 4))
    }),
  )

  it.effect("leaves to the database what it only heard of (promise 5)", () =>
    Effect.gen(function* () {
      const tail = yield* makeEventTail(0)
      yield* push(tail, events(1, 3))
      yield* tail.skipTo(7)
      assert.strictEqual(tail.lastId(), 7)
      assert.isUndefined(after(tail, 2))
      assert.isUndefined(after(tail, 6))
      yield* push(tail, events(8, 9))
      assert.deepStrictEqual(after(tail, 7), [8, 9])
      assert.isUndefined(after(tail, 6))
    }),
  )

  it.effect("holds 8192 events, and keeps the newest 4096 when there would be more", () =>
    Effect.gen(function* () {
      const tail = yield* makeEventTail(0)
      yield* push(tail, events(1, 8192))
      assert.strictEqual(reach(tail), 0)
      yield* push(tail, events(8193, 8193))
      assert.strictEqual(reach(tail), 8193 - 4096)
      assert.deepStrictEqual(after(tail, 8191), [8192, 8193])
    }),
  )

  it.effect("holds 16 MiB of payloads, and drops the oldest when there would be more", () =>
    Effect.gen(function* () {
      const mebi = 1024 * 1024
      const tail = yield* makeEventTail(0)
      yield* push(tail, events(1, 16), mebi)
      assert.strictEqual(reach(tail), 0)
      yield* push(tail, events(17, 18), mebi)
      assert.strictEqual(reach(tail), 2)
      // One alone is more than all it may hold.
      yield* push(tail, events(19, 19), 17 * mebi)
      assert.strictEqual(reach(tail), 19)
      yield* push(tail, events(20, 35), mebi)
      assert.strictEqual(reach(tail), 19, "what was dropped no longer counts")
    }),
  )

  it.effect("what was dropped for its number no longer counts by its size", () =>
    Effect.gen(function* () {
      const kibi = 1024
      const tail = yield* makeEventTail(0)
      yield* push(tail, events(1, 8192), kibi)
      yield* push(tail, events(8193, 8193), kibi)
      const room = 16 * kibi - 4096
      // Up to its bound in bytes, one by one.
      yield* push(tail, events(8194, 8193 + room / 4), 4 * kibi)
      assert.strictEqual(reach(tail), 8193 - 4096)
    }),
  )

  it.effect("what it skipped no longer counts by its size", () =>
    Effect.gen(function* () {
      const mebi = 1024 * 1024
      const tail = yield* makeEventTail(0)
      yield* push(tail, events(1, 16), mebi)
      yield* tail.skipTo(20)
      yield* push(tail, events(21, 36), mebi)
      assert.strictEqual(reach(tail), 20)
    }),
  )

  it.effect("rings for whoever waits, whether it has the events or only heard of them", () =>
    Effect.gen(function* () {
      const tail = yield* makeEventTail(0)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const bell = yield* PubSub.subscribe(tail.bell)
          const rung = yield* Effect.forkChild(PubSub.take(bell), { startImmediately: true })
          yield* push(tail, events(1, 2))
          assert.strictEqual(yield* Fiber.join(rung), 2)
          yield* tail.skipTo(9)
          yield* push(tail, events(10, 10))
          assert.strictEqual(yield* PubSub.take(bell), 10, "the last ring")
        }),
      )
    }),
  )
})
