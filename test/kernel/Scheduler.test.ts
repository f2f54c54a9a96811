/**
 * Schedules under the test's clock: each due time runs at most once, through crashes, restarts and
 * clocks that jump, and whatever did not run is told once (promises 1 to 4 and 6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

import { makeFaults } from "./harness/FaultyStorage.ts"
import {
  boot,
  callerOf,
  deploy,
  halt,
  kill,
  named,
  pass,
  pullPlug,
  settle,
  specOf,
} from "./harness/Machine.ts"
import {
  a,
  minute,
  noon,
  everyMinute,
  begin,
  settable,
  fired,
  missedBy,
  missed,
  rows,
} from "./Schedules.ts"
import { outside } from "./Workbench.ts"

describe("Scheduler", () => {
  it.effect("calls a service at its due times, all at their own", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, { crons: ["*/2 * * * *", "3 * * * *", "30 1 * * * *"] })
      assert.deepStrictEqual(
        (yield* kernel.scheduler.schedulesOf(a)).map(({ nextAt }) => nextAt),
        ["2026-01-01T12:02:00.000Z", "2026-01-01T12:03:00.000Z", "2026-01-01T12:01:30.000Z"],
      )
      yield* deploy(kernel, named("acme", "none"))
      yield* pass(4 * minute, 15_000)
      assert.deepStrictEqual(
        kernel.world.fired.map(({ cron, scheduledTime }) => [
          cron,
          (scheduledTime - noon) / minute,
        ]),
        [
          ["30 1 * * * *", 1.5],
          ["*/2 * * * *", 2],
          ["3 * * * *", 3],
          ["*/2 * * * *", 4],
        ],
      )
      assert.deepStrictEqual((yield* kernel.scheduler.schedulesOf(a))[0], {
        cron: "*/2 * * * *",
        nextAt: "2026-01-01T12:06:00.000Z",
        lastAt: "2026-01-01T12:04:00.000Z",
        lastOutcome: "succeeded",
      })
      assert.deepStrictEqual(yield* kernel.scheduler.schedulesOf(named("other", "a")), [])
      assert.deepStrictEqual(yield* missed(kernel), [])
    }),
  )

  it.effect("tells once what passed while the kernel was down, however long that was", () =>
    Effect.gen(function* () {
      yield* begin
      const first = yield* boot()
      yield* deploy(first, a, {}, { crons: ["* * * * *", "0 * * * *"] })
      yield* pass(minute + 30_000, 30_000)
      const disk = pullPlug(first)
      yield* halt(first)
      yield* TestClock.setTime(noon + 365 * 24 * 60 * minute + 30_000)
      const second = yield* boot({ disk })
      yield* settle
      const down = "the kernel was not running, or was recovering"
      assert.deepStrictEqual(yield* missed(second), [
        `${365 * 24 * 60 - 1}: ${down}`,
        `${365 * 24}: ${down}`,
      ])
      assert.deepStrictEqual(fired(second.world), [])
      yield* halt(second)
      const third = yield* boot({ disk })
      yield* pass(minute, 10_000)
      assert.strictEqual((yield* missed(third)).length, 2, "told once")
      assert.strictEqual(third.world.fired.length, 1)
    }),
  )

  it.effect("serves a due time of a moment ago after a quick restart, and none twice", () =>
    Effect.gen(function* () {
      yield* begin
      const first = yield* boot()
      yield* deploy(first, a, {}, everyMinute)
      yield* pass(minute, 10_000)
      yield* halt(first)
      yield* TestClock.adjust(1000)
      const second = yield* boot({ disk: first.disk })
      yield* settle
      assert.deepStrictEqual(fired(second.world), [], "12:01 had its turn")
      yield* halt(second)
      yield* TestClock.setTime(noon + 2 * minute + 5000)
      const third = yield* boot({ disk: first.disk })
      yield* settle
      assert.deepStrictEqual(fired(third.world), [2])
      assert.deepStrictEqual(yield* missed(third), [])
    }),
  )

  it.effect("never runs again what a crash cut off, and tells of it", () =>
    Effect.gen(function* () {
      yield* begin
      const first = yield* boot()
      yield* deploy(first, a, { scheduled: "hang" }, everyMinute)
      yield* pass(minute)
      assert.deepStrictEqual(fired(first.world), [1])
      const second = yield* boot({ disk: pullPlug(first) })
      yield* settle
      assert.deepStrictEqual(fired(second.world), [])
      assert.deepStrictEqual(yield* missed(second), [
        "1: the kernel ended before the run was known to have ended",
      ])
      assert.strictEqual((yield* second.scheduler.schedulesOf(a))[0]!.lastOutcome, "interrupted")
    }),
  )

  it.effect("tells what passed during a run, and runs the last of it", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      const limits = { requestTimeoutMs: 600_000 }
      yield* deploy(kernel, a, { scheduledMs: 2.5 * minute }, { crons: ["*/30 * * * * *"], limits })
      yield* pass(6 * minute, 10_000)
      assert.deepStrictEqual(fired(kernel.world), [0.5, 3, 5.5])
      assert.deepStrictEqual(yield* missed(kernel), [
        "4: the run for an earlier due time had not ended",
        "4: the run for an earlier due time had not ended",
      ])
    }),
  )

  it.effect("says why a run failed or took too long, a few times a minute, and goes on", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, { scheduled: "throw" }, { crons: ["* * * * * *"] })
      const b = named("acme", "b")
      const limits = { requestTimeoutMs: 100 }
      yield* deploy(kernel, b, { scheduled: "hang" }, { ...everyMinute, limits })
      yield* pass(3 * minute, 500)
      const failures = yield* kernel.store.filter({ types: ["schedule_failed"] })
      const of = (id: string) =>
        failures.flatMap(({ payload, serviceId, type }) =>
          serviceId === id && type === "schedule_failed" ? [payload] : [],
        )
      assert.deepStrictEqual(
        of("b").map(({ dueAt, reason }) => [dueAt.slice(11, 16), reason]),
        ["12:01", "12:02", "12:03"]
          .map((at) => [at, "it did not end within 100 ms (limits.requestTimeoutMs)"])
          .slice(0, of("b").length),
      )
      assert.isAtLeast(of("b").length, 2)
      assert.isAtMost(of("a").length, 4 * 6, "bounded")
      assert.strictEqual(of("a")[0]!.reason, "scripted")
      assert.isTrue(of("a").some(({ unrecorded }) => unrecorded > 0))
      assert.strictEqual(kernel.world.fired.filter(({ key }) => key === "acme/a").length, 180)
      assert.strictEqual((yield* kernel.scheduler.schedulesOf(a))[0]!.lastOutcome, "failed")
    }),
  )

  it.effect(
    "waits a moment for a service that restarts; misses, once a minute, for one that failed",
    () =>
      Effect.gen(function* () {
        yield* begin
        const kernel = yield* boot()
        yield* deploy(kernel, a, {}, { ...everyMinute, limits: { maxRestarts: 1 } })
        yield* pass(minute - 50)
        kernel.world.crash(a)
        yield* pass(50)
        assert.deepStrictEqual(fired(kernel.world), [])
        yield* pass(1000, 50)
        assert.deepStrictEqual(fired(kernel.world), [1])
        kernel.world.crash(a)
        yield* pass(5 * minute, 10_000)
        assert.deepStrictEqual(fired(kernel.world), [1])
        const told = yield* missedBy(kernel)
        assert.isTrue(told.every(({ reason }) => reason === "the service was failed"))
        const count = told.reduce((sum, { count }) => sum + count, 0)
        assert.include([4, 5], count)
      }),
  )

  it.effect("ends with the service; its next life owes nothing", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, everyMinute)
      yield* pass(2 * minute, 30_000)
      yield* kill(kernel, a)
      yield* pass(10 * minute, 30_000)
      assert.deepStrictEqual([fired(kernel.world), rows(kernel)], [[1, 2], []])
      yield* deploy(kernel, a, {}, everyMinute)
      yield* pass(minute, 30_000)
      assert.deepStrictEqual(fired(kernel.world), [1, 2, 13])
      yield* kill(kernel, a)
      yield* deploy(kernel, a, { n: 2 }, { crons: ["30 * * * * *"] })
      yield* pass(minute, 30_000)
      const second = yield* boot({ disk: pullPlug(kernel) })
      yield* settle
      assert.deepStrictEqual(
        rows(second).map(({ cron }) => cron),
        ["30 * * * * *"],
      )
      assert.deepStrictEqual(yield* missed(second), [])
    }),
  )

  it.effect("a swap keeps the account of an equal expression, and only the new revision runs", () =>
    Effect.gen(function* () {
      yield* begin
      const kernel = yield* boot()
      yield* deploy(kernel, a, {}, everyMinute)
      yield* pass(minute, 10_000)
      const next = specOf("a", { n: 2 }, { crons: ["* * * * *", "30 * * * * *"] })
      yield* Effect.forkChild(kernel.deployer.swap(callerOf("acme"), next, { rollbackWindowMs: 0 }))
      yield* pass(2 * minute + 30_000, 10_000)
      assert.deepStrictEqual(
        kernel.world.fired.map(({ revision, scheduledTime }) => [
          revision,
          (scheduledTime - noon) / minute,
        ]),
        [
          [1, 1],
          [2, 1.5],
          [2, 2],
          [2, 2.5],
          [2, 3],
          [2, 3.5],
        ],
      )
      assert.deepStrictEqual(yield* missed(kernel), [])
      assert.strictEqual(rows(kernel).length, 2)
    }),
  )

  it.effect("runs nothing without its account on disk, and goes on when there is room again", () =>
    Effect.gen(function* () {
      yield* begin
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      yield* deploy(kernel, a, {}, everyMinute)
      yield* settle
      faults.failWhile((sql) => sql.includes("INSERT INTO schedules"))
      yield* pass(3 * minute, 1000)
      assert.deepStrictEqual(fired(kernel.world), [])
      faults.failWhile(() => false)
      yield* pass(minute, 1000)
      assert.deepStrictEqual(fired(kernel.world).at(-1), 4)
      const told = (yield* missedBy(kernel)).reduce((sum, { count }) => sum + count, 0)
      assert.strictEqual(told + kernel.world.fired.length, 4)
    }),
  )

  it.effect("a clock set back runs nothing twice; one set forward is told once", () =>
    Effect.gen(function* () {
      yield* begin
      const { shift, wall } = yield* settable
      yield* Effect.gen(function* () {
        const kernel = yield* boot()
        yield* deploy(kernel, a, {}, everyMinute)
        yield* pass(3 * minute, 30_000)
        shift(-60 * minute)
        yield* pass(59 * minute, 30_000)
        assert.deepStrictEqual(fired(kernel.world), [1, 2, 3])
        yield* pass(2 * minute, 30_000)
        assert.deepStrictEqual(fired(kernel.world), [1, 2, 3, 4])
        shift(96 * minute + 30_000)
        yield* pass(minute, 1000)
        assert.deepStrictEqual(yield* missed(kernel), [
          "96: the kernel was late, or the clock was set forward",
        ])
        assert.deepStrictEqual(fired(kernel.world), [1, 2, 3, 4, 101])
      }).pipe(Effect.provideService(Clock.Clock, wall))
    }),
  )

  it.effect("lost accounts cost reports, never a second run", () =>
    Effect.gen(function* () {
      yield* begin
      const first = yield* boot()
      yield* deploy(first, a, {}, everyMinute)
      yield* pass(minute, 30_000)
      const disk = pullPlug(first)
      outside(disk.database, (database) =>
        database.exec("PRAGMA ignore_check_constraints = ON; UPDATE schedules SET outcome = 'odd'"),
      )
      yield* TestClock.adjust(5000)
      const second = yield* boot({ disk })
      yield* pass(minute, 5000)
      assert.deepStrictEqual(fired(second.world), [2])
      const gone = pullPlug(second)
      outside(gone.database, (database) => database.exec("DROP TABLE schedules"))
      const third = yield* boot({ disk: gone })
      yield* pass(3 * minute, 30_000)
      assert.deepStrictEqual(fired(third.world), [])
      assert.strictEqual(third.registry.get(a)?.status, "running")
    }),
  )

  it.effect("hundreds of services fire in a few transactions", () =>
    Effect.gen(function* () {
      yield* begin
      const faults = makeFaults()
      let writes = 0
      const kernel = yield* boot({ open: faults.open, settings: { maxServicesPerTenant: 1000 } })
      for (let n = 0; n < 300; n++) yield* deploy(kernel, named("acme", `s${n}`), {}, everyMinute)
      yield* settle
      faults.failWhile((sql) => {
        if (sql.includes("INSERT INTO schedules")) writes += 1
        return false
      })
      yield* pass(minute)
      assert.strictEqual(kernel.world.fired.length, 300)
      assert.isBelow(writes, 20)
    }),
  )
})
