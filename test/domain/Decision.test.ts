/** What follows from a command: every case at once (promises 1, 2). */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

import {
  type Current,
  decideDeploy,
  decideRestart,
  decideRollback,
  decideSwap,
  firstDelayMs,
  maxDelayMs,
} from "../../src/domain/Decision.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import type { ServiceStatus } from "../../src/domain/Service.ts"
import { isSameSpec, LoggedSpec, type RestartType } from "../../src/domain/ServiceSpec.ts"
import type { Revision, ServiceFact } from "../../src/domain/State.ts"

type Terms = Partial<typeof LoggedSpec.Encoded>

const specOf = (terms: Terms = {}) =>
  Schema.decodeSync(LoggedSpec)({ serviceId: "a", artifact: "a".repeat(64), ...terms })

const name = { tenantId: TenantId.make("t"), serviceId: ServiceId.make("a") }
const one = specOf()
const two = specOf({ artifact: "b".repeat(64) })

const deployed = (
  spec: LoggedSpec,
  revision: number,
  more: { readonly highest?: number; readonly previous?: Revision } = {},
): ServiceFact => ({
  _tag: "Deployed",
  name,
  revision,
  spec,
  deployedAt: "",
  eventId: 1,
  latestId: 1,
  highest: revision,
  previous: null,
  swappingTo: null,
  ...more,
})
const killed = (revision: number, highest = revision): ServiceFact => ({
  _tag: "Killed",
  name,
  revision,
  eventId: 1,
  latestId: 1,
  highest,
})
const as = (status: ServiceStatus, spec: LoggedSpec): Current => ({ status, revision: 3, spec })

describe("decideDeploy", () => {
  const cases: ReadonlyArray<
    [string, ServiceFact | undefined, Current | undefined, LoggedSpec, object]
  > = [
    ["never deployed", undefined, undefined, one, { _tag: "Deploy", revision: 1 }],
    ["killed", killed(4), undefined, one, { _tag: "Deploy", revision: 5 }],
    ["runs, same", deployed(one, 3), as("running", one), one, { _tag: "Unchanged" }],
    ["restarts, same", deployed(one, 3), as("restarting", one), one, { _tag: "Unchanged" }],
    ["runs, other", deployed(one, 3), as("running", one), two, { _tag: "Conflict", revision: 3 }],
    [
      "restarts, other",
      deployed(one, 3),
      as("restarting", one),
      two,
      { _tag: "Conflict", revision: 3 },
    ],
    ["runs, but was killed", killed(3), as("running", one), one, { _tag: "Deploy", revision: 4 }],
    ["runs, unlogged", undefined, as("running", one), one, { _tag: "Deploy", revision: 1 }],
    ["runs, older", deployed(one, 4), as("running", one), one, { _tag: "StartAgain", revision: 4 }],
    ["failed, same", deployed(one, 3), as("failed", one), one, { _tag: "StartAgain", revision: 3 }],
    ["failed, other", deployed(one, 3), as("failed", one), two, { _tag: "Deploy", revision: 4 }],
    [
      "stopped, same",
      deployed(one, 3),
      as("stopped", one),
      one,
      { _tag: "StartAgain", revision: 3 },
    ],
    [
      "starting, same",
      deployed(one, 3),
      as("starting", one),
      one,
      { _tag: "StartAgain", revision: 3 },
    ],
    [
      "starting, other",
      deployed(one, 3),
      as("starting", one),
      two,
      { _tag: "Deploy", revision: 4 },
    ],
    ["a fact, not there", deployed(one, 3), undefined, one, { _tag: "StartAgain", revision: 3 }],
  ]
  for (const [what, fact, current, spec, expected] of cases) {
    it(`${what}: ${JSON.stringify(expected)}`, () => {
      assert.deepStrictEqual(decideDeploy(fact, current, spec), expected as never)
    })
  }
})

describe("decideSwap", () => {
  const swap = { _tag: "Swap", from: 3, to: 4 }
  const cases: ReadonlyArray<[string, ServiceFact | undefined, Current | undefined, object]> = [
    ["never deployed", undefined, undefined, { _tag: "NotFound" }],
    ["killed", killed(3), undefined, { _tag: "NotFound" }],
    ["killed, but still there", killed(3), as("running", one), { _tag: "NotFound" }],
    ["another runs", deployed(one, 3), as("running", one), swap],
    ["another restarts", deployed(one, 3), as("restarting", one), swap],
    ["another failed", deployed(one, 3), as("failed", one), swap],
    ["another stopped", deployed(one, 3), as("stopped", one), swap],
    ["another is not there yet", deployed(one, 3), undefined, swap],
    ["the same runs", deployed(two, 3), as("running", two), { _tag: "Unchanged" }],
    ["the same failed", deployed(two, 3), as("failed", two), { _tag: "StartAgain" }],
    ["the same, but an older runs", deployed(two, 5), as("running", two), { _tag: "StartAgain" }],
    [
      "a number was used up",
      deployed(one, 3, { highest: 7 }),
      as("running", one),
      { ...swap, to: 8 },
    ],
  ]
  for (const [what, fact, current, decision] of cases) {
    it(`${what}`, () => assert.deepStrictEqual<object>(decideSwap(fact, current, two), decision))
  }

  it("counts a deployment after a rollback and a kill on from the highest number", () => {
    assert.deepStrictEqual(decideDeploy(killed(2, 5), undefined, one), {
      _tag: "Deploy",
      revision: 6,
    })
  })
})

describe("decideRollback", () => {
  const previous = { revision: 2, spec: one }
  const cases: ReadonlyArray<[string, ServiceFact | undefined, object]> = [
    ["never deployed", undefined, { _tag: "NotFound" }],
    ["killed", killed(3), { _tag: "NotFound" }],
    ["one revision only", deployed(two, 3), { _tag: "NoPrevious" }],
    ["another before", deployed(two, 3, { previous }), { _tag: "Swap", from: 3, to: previous }],
  ]
  for (const [what, fact, decision] of cases) {
    it(`${what}`, () => assert.deepStrictEqual<object>(decideRollback(fact), decision))
  }
})

describe("decideRestart", () => {
  it("restarts by type", () => {
    const tagOf = (restart: RestartType, ended: "crashed" | "stopped") =>
      decideRestart(specOf({ restart }), ended, 0)._tag
    assert.strictEqual(tagOf("permanent", "crashed"), "Restart")
    assert.strictEqual(tagOf("permanent", "stopped"), "Restart")
    assert.strictEqual(tagOf("transient", "crashed"), "Restart")
    assert.strictEqual(tagOf("transient", "stopped"), "Leave")
    assert.strictEqual(tagOf("temporary", "crashed"), "Leave")
    assert.strictEqual(tagOf("temporary", "stopped"), "Leave")
  })

  it("waits for what ends quickly again and again, however few restarts the window holds", () => {
    const delayOf = (recent: number, quick: number) => {
      const decision = decideRestart(specOf(), "crashed", recent, quick)
      return decision._tag === "Restart" ? decision.delayMs : decision._tag
    }
    assert.deepStrictEqual(
      [delayOf(0, 0), delayOf(0, 3), delayOf(2, 1), delayOf(1, 2), delayOf(0, 2000)],
      [firstDelayMs, 8 * firstDelayMs, 4 * firstDelayMs, 4 * firstDelayMs, maxDelayMs],
    )
    assert.strictEqual(delayOf(1000, 0), "GiveUp")
  })

  it.prop(
    "gives up at the limit and waits ever longer up to a bound",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 })),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 })),
    ],
    ([maxRestarts, recent]) => {
      const spec = specOf({ limits: { maxRestarts } })
      const decision = decideRestart(spec, "crashed", recent)
      if (recent >= maxRestarts) return decision._tag === "GiveUp"
      if (decision._tag !== "Restart") return false
      const next = decideRestart(spec, "crashed", recent + 1)
      return (
        decision.delayMs >= firstDelayMs &&
        decision.delayMs <= maxDelayMs &&
        (next._tag === "GiveUp" || (next._tag === "Restart" && next.delayMs >= decision.delayMs))
      )
    },
  )
})

describe("isSameSpec", () => {
  it("sees every field, and no order of keys", () => {
    const base = { env: { A: "1", B: "2" }, secrets: ["s"] }
    assert.isTrue(isSameSpec(specOf(base), specOf({ env: { B: "2", A: "1" }, secrets: ["s"] })))
    const others: ReadonlyArray<Terms> = [
      { ...base, artifact: "c".repeat(64) },
      { ...base, env: { A: "1" } },
      { ...base, secrets: [] },
      { ...base, network: ["h:1"] },
      { ...base, format: "javascript" as const },
      { ...base, restart: "transient" as const },
      { ...base, limits: { heapMb: 65 } },
    ]
    for (const other of others) {
      assert.isFalse(isSameSpec(specOf(base), specOf(other)), JSON.stringify(other))
    }
  })
})
