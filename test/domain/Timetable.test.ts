/**
 * The arithmetic of due times against the library that reads cron expressions, and the decision
 * about them: every due time has its turn once (promises 1 and 4).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cron from "effect/Cron"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { ServiceSpec } from "../../src/domain/ServiceSpec.ts"
import { countDue, lastDue, nextDue, timetableOf } from "../../src/domain/Timetable.ts"
import { decideTurn, maxLateMs, openAccount, takeOver } from "../../src/domain/Turn.ts"

const field = (maximum: number, minimum = 0) =>
  Schema.Union([
    Schema.Literal("*"),
    Schema.Int.check(Schema.isBetween({ minimum, maximum })),
    Schema.TemplateLiteral(["*/", Schema.Literals([1, 2, 5, 7])]),
  ])
const Expression = Schema.Tuple([
  Schema.Union([Schema.Literal(""), Schema.Literal("*"), Schema.Literals(["0", "*/15", "3,59"])]),
  field(59),
  field(23),
  field(28, 1),
  field(12, 1),
  field(7),
])
const Time = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4_000_000_000_000 }))

const textOf = (fields: typeof Expression.Type) => fields.join(" ").trim()
const table = (expression: string) => Result.getOrThrow(timetableOf(expression))
const minute = 60_000

describe("Timetable", () => {
  it.prop(
    "finds the due times that the library finds",
    [Expression, Time],
    ([fields, time]) => {
      const cron = Cron.parseUnsafe(textOf(fields), "UTC")
      const own = table(textOf(fields))
      let after = time
      for (let n = 1; n <= 5; n++) {
        const next = Cron.next(cron, after).getTime()
        assert.strictEqual(nextDue(own, after), next)
        assert.strictEqual(lastDue(own, next), next)
        assert.strictEqual(lastDue(own, next - 1), Cron.prev(cron, next).getTime())
        assert.strictEqual(countDue(own, time, next), n)
        assert.strictEqual(countDue(own, time, next - 1), n - 1)
        after = next
      }
    },
    { arbitrary: { runs: 300 } },
  )

  it("counts years as fast as minutes, and what ever comes once in 40 years", () => {
    const year = Date.UTC(2026, 0, 1)
    assert.strictEqual(countDue(table("* * * * * *"), Date.UTC(2025, 0, 1), year), 365 * 86_400)
    assert.strictEqual(countDue(table("*/5 * * * *"), Date.UTC(2025, 0, 1), year), 365 * 288)
    assert.strictEqual(countDue(table("* * * * *"), year, year), 0)
    assert.strictEqual(countDue(table("* * * * *"), year, year - minute), 0)
    assert.strictEqual(nextDue(table("0 0 29 2 *"), Date.UTC(2096, 2, 1)), Date.UTC(2104, 1, 29))
    assert.strictEqual(nextDue(table("0 0 30 2 *"), 0), Infinity)
    assert.strictEqual(lastDue(table("0 0 30 2 *"), year), -Infinity)
  })
})

describe("crons of a spec", () => {
  const decode = Schema.decodeUnknownResult(ServiceSpec, { errors: "all" })
  const spec = (crons: unknown) => decode({ serviceId: "a", source: "x", crons })

  it("are none unless given, and kept as they are written", () => {
    const { crons } = Result.getOrThrow(decode({ serviceId: "a", source: "x" }))
    assert.deepStrictEqual(crons, [])
    const given = ["*/5 * * * *", "0 0 * JAN-MAR MON", "*/10 * * * * *"]
    assert.deepStrictEqual(Result.getOrThrow(spec(given)).crons, given)
  })

  const refused: ReadonlyArray<readonly [crons: unknown, says: RegExp]> = [
    [["60 * * * *"], /between 0 and 59/],
    [["@daily"], /number of segments.*expected five fields/],
    [[""], /number of segments/],
    [["* * * *"], /number of segments/],
    [["* * * * * * *"], /number of segments/],
    [["*/0 * * * *"], /step/],
    [["5-1 * * * *"], /range/],
    [["0 0 31 2 *"], /no day that ever comes/],
    [["0 0 31 4,6,9,11 *"], /no day that ever comes/],
    [["* * * * *", "* * * * *"], /only once/],
    [Array.from({ length: 17 }, (_, n) => `${n} * * * *`), /at most 16/],
    [[`0 ${"0,".repeat(200)}0 * * *`], /at most 256/],
    [[7], /string/],
    ["* * * * *", /array/],
  ]
  for (const [crons, says] of refused)
    it(`like ${JSON.stringify(crons).slice(0, 40)} are refused`, () => {
      const result = spec(crons)
      assert.isTrue(Result.isFailure(result))
      if (Result.isFailure(result)) {
        assert.match(result.failure.message, says)
        assert.include(result.failure.message, "crons")
      }
    })
})

describe("decideTurn", () => {
  const every = table("* * * * *")
  const noon = Date.UTC(2026, 0, 1, 12)
  const account = openAccount(noon)
  const up = { _tag: "Up" } as const
  const soon = { _tag: "Soon", why: "restarting" } as const
  const down = { _tag: "Down", why: "failed" } as const
  const decide = (at: number, situation: typeof up | typeof soon | typeof down) =>
    decideTurn(every, account, noon + minute, noon + at, situation, "late")

  it("runs what is due, and only the last of many", () => {
    const reached = noon + minute
    assert.deepStrictEqual(decide(minute, up), {
      _tag: "Run",
      account: { reached, runAt: reached, outcome: "running", missed: null },
    })
    const turn = decide(5 * minute + maxLateMs, up)
    assert.deepStrictEqual(turn, {
      _tag: "Run",
      account: {
        reached: noon + 5 * minute,
        runAt: noon + 5 * minute,
        outcome: "running",
        missed: { count: 4, from: reached, until: noon + 4 * minute, why: "late" },
      },
    })
  })

  it("misses what is too late, or has nobody to run it; waits a moment for who comes back", () => {
    const missed = (at: number, situation: typeof up | typeof soon | typeof down) => {
      const turn = decide(at, situation)
      return turn._tag === "Miss" ? turn.account.missed : turn._tag
    }
    const one = { count: 1, from: noon + minute, until: noon + minute }
    assert.deepStrictEqual(missed(minute + maxLateMs + 1, up), { ...one, why: "late" })
    assert.deepStrictEqual(missed(minute, down), { ...one, why: "failed" })
    assert.strictEqual(missed(minute + maxLateMs, soon), "Wait")
    const two = { count: 2, from: noon + minute, until: noon + 2 * minute, why: "restarting" }
    assert.deepStrictEqual(missed(2 * minute, soon), two)
  })

  it("adds a run nobody saw the end of to what was missed", () => {
    const turn = decide(3 * minute, up)
    assert.strictEqual(turn._tag, "Run")
    if (turn._tag !== "Run") return
    const { missed, outcome } = takeOver(turn.account)
    assert.strictEqual(outcome, "interrupted")
    assert.deepInclude(missed, { count: 3, from: noon + minute, until: noon + 3 * minute })
    assert.deepStrictEqual(takeOver(takeOver(turn.account)), takeOver(turn.account))
  })
})
