/**
 * Schedules of a service that is swapped, or ends under a due time: each due time belongs to the
 * revision whose spec names it, and to that revision's instance (promises 1, 3 and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { makeFaults } from "./harness/FaultyStorage.ts"
import { boot, deploy, type Kernel, pass, rollback, settle, swap } from "./harness/Machine.ts"
import { a, begin, everyMinute, fired, minute, missed, noon, rows } from "./Schedules.ts"

const everySecond = { crons: ["* * * * * *"] }

/** Revision, expression and due time, in seconds after noon, of every call. */
const calls = ({ world }: Kernel) =>
  world.fired.map(({ cron, revision, scheduledTime }) => [
    revision,
    cron,
    (scheduledTime - noon) / 1000,
  ])

const ofRevision = (revision: number, ...times: ReadonlyArray<number>) =>
  times.map((at) => [revision, everySecond.crons[0], at])

const failures = (kernel: Kernel) =>
  Effect.map(kernel.store.filter({ types: ["schedule_failed"] }), (events) =>
    events.map(({ payload }) => payload),
  )

const allWell = Effect.fnUntraced(function* (kernel: Kernel) {
  assert.deepStrictEqual(yield* failures(kernel), [])
  assert.deepStrictEqual(yield* missed(kernel), [])
})

describe("the schedules of a service that is swapped", () => {
  it.effect("go on with the old revision until the new one is committed", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, everySecond)
      yield* pass(1000)
      yield* Effect.forkChild(swap(kernel, a, { n: 2 }, 3800, { crons: ["*/2 * * * * *"] }))
      yield* pass(7000, 500)
      const fromThen = [6, 8].map((at) => [2, "*/2 * * * * *", at])
      assert.deepStrictEqual(calls(kernel), [...ofRevision(1, 1, 2, 3, 4), ...fromThen])
      yield* allWell(kernel)
    }),
  )

  it.effect("miss none and run none twice where both revisions name the same", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, everySecond)
      yield* Effect.forkChild(swap(kernel, a, { n: 2 }, 2500, everySecond))
      yield* pass(5000, 500)
      assert.deepStrictEqual(calls(kernel), [...ofRevision(1, 1, 2), ...ofRevision(2, 3, 4, 5)])
      yield* allWell(kernel)
    }),
  )

  it.effect("lose nothing to a swap that is rolled back", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, everySecond)
      const swapping = swap(kernel, a, { crashAfterMs: 2500 }, 4000, { crons: ["*/2 * * * * *"] })
      yield* Effect.forkChild(Effect.flip(swapping))
      yield* pass(5000, 500)
      assert.deepStrictEqual(calls(kernel), ofRevision(1, 1, 2, 3, 4, 5))
      yield* allWell(kernel)
    }),
  )

  it.effect("end with the commit of a spec that has none", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, everySecond)
      yield* Effect.forkChild(swap(kernel, a, { n: 2 }, 2500))
      yield* pass(5000, 500)
      assert.deepStrictEqual(calls(kernel), ofRevision(1, 1, 2))
      assert.deepStrictEqual(rows(kernel), [])
      yield* allWell(kernel)
    }),
  )

  it.effect("stay with the revision that a rollback leaves, until that is committed", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a)
      yield* swap(kernel, a, { n: 2 }, 0, everySecond)
      yield* Effect.forkChild(rollback(kernel, a, 2500))
      yield* pass(5000, 500)
      assert.deepStrictEqual(calls(kernel), ofRevision(2, 1, 2))
      yield* allWell(kernel)
    }),
  )

  it.effect("tell of a run that the end of the old revision cut off", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, { scheduledMs: minute }, everyMinute)
      yield* pass(minute)
      yield* swap(kernel, a, { n: 2 }, 0, everyMinute)
      yield* pass(minute, 10_000)
      assert.deepStrictEqual(yield* failures(kernel), [
        {
          cron: "* * * * *",
          dueAt: "2026-01-01T12:01:00.000Z",
          reason: "the instance ended",
          unrecorded: 0,
        },
      ])
      assert.deepStrictEqual(fired(kernel.world), [1, 2])
    }),
  )
})

describe("the schedules of a service that ends just before it is called", () => {
  it.effect("wait a moment for it to be back", () =>
    Effect.gen(function* () {
      yield* begin
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      yield* deploy(kernel, a, {}, everyMinute)
      yield* settle
      let claims = 0
      faults.failWhile((sql) => {
        if (sql.includes("INSERT INTO schedules") && claims++ === 0) kernel.world.crash(a)
        return false
      })
      yield* pass(minute)
      assert.deepStrictEqual(fired(kernel.world), [])
      yield* pass(2000, 50)
      assert.deepStrictEqual(fired(kernel.world), [1])
      yield* allWell(kernel)
    }),
  )
})
