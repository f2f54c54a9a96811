/**
 * Schedules through anything: random expressions, crashes, restarts and jumps of the clock. No due
 * time runs twice, and what did not run was told (promises 1 and 3).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import { countDue, timetableOf } from "../../src/domain/Timetable.ts"
import { boot, deploy, halt, pass, pullPlug, settle } from "./harness/Machine.ts"
import { makeWorld } from "./harness/ScriptedRuntime.ts"
import { a, minute, noon, begin, settable, rows } from "./Schedules.ts"

const Step = Schema.Union([
  Schema.Struct({ pass: Schema.Literals([1, 20, 60, 200]) }),
  Schema.Struct({ jump: Schema.Literals([-4000, -90, -1, 1, 90, 4000]) }),
  Schema.Literals(["crash", "restart", "service crash", "slow", "fast"]),
])

describe("schedules through anything", () => {
  it.effect.prop(
    "what ran and what was told as missed is what was due, and nothing ran twice",
    [
      Schema.Literals(["* * * * *", "*/7 * * * * *", "30 */2 * * * *", "0 0 * * *"]),
      Schema.Array(Step).check(Schema.isMaxLength(14)),
    ],
    ([cron, steps]) => {
      const through = Effect.fnUntraced(function* (shift: (milliseconds: number) => void) {
        const world = makeWorld()
        let kernel = yield* boot({ world })
        yield* deploy(kernel, a, {}, { crons: [cron], limits: { maxRestarts: 1000 } })
        yield* settle
        for (const step of steps) {
          if (step === "service crash") world.crash(a)
          else if (step === "slow") world.overrides.set("acme/a", { scheduledMs: 25_000 })
          else if (step === "fast") world.overrides.delete("acme/a")
          else if (step === "restart" || step === "crash") {
            const disk = step === "crash" ? pullPlug(kernel) : kernel.disk
            yield* halt(kernel)
            kernel = yield* boot({ world, disk })
          } else if ("pass" in step) yield* pass(step.pass * 1000, 5000)
          else {
            shift(step.jump * 1000)
          }
          yield* settle
        }
        yield* pass(2 * minute, 5000)
        const times = world.fired.map(({ scheduledTime }) => scheduledTime)
        assert.deepStrictEqual(
          times,
          [...new Set(times)].sort((x, y) => x - y),
          "at most once",
        )
        const [row] = rows(kernel) as unknown as ReadonlyArray<{
          reached: number
          missed: number
        }>
        const told = yield* kernel.store.filter({ types: ["schedule_missed"] })
        const counted = told.reduce(
          (sum, { payload }) => sum + (payload as { count: number }).count,
          row?.missed ?? 0,
        )
        const cutOff = told.filter(({ payload }) =>
          (payload as { reason: string }).reason.includes("known to have ended"),
        ).length
        const table = timetableOf(cron)
        if (table._tag !== "Success" || row === undefined) return
        const due = countDue(table.success, noon, row.reached)
        assert.isAtLeast(times.length + counted, due, "none without a turn or a word")
        assert.isAtMost(times.length + counted, due + cutOff, "none told twice")
        assert.isAtMost(told.length, 2 * steps.length + 6, "few words")
        yield* halt(kernel)
      }, Effect.scoped)
      return Effect.gen(function* () {
        yield* begin
        const { shift, wall } = yield* settable
        yield* Effect.provideService(through(shift), Clock.Clock, wall)
      })
    },
    { arbitrary: { runs: 25 } },
  )
})
