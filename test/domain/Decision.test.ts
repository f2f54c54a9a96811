/** What follows from a command: every case at once (promises 1, 2). */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

import {
  type Current,
  decideDeploy,
  decideRestart,
  firstDelayMs,
  maxDelayMs,
} from "../../src/domain/Decision.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import type { ServiceStatus } from "../../src/domain/Service.ts"
import { isSameSpec, LoggedSpec, type RestartType } from "../../src/domain/ServiceSpec.ts"
import type { ServiceFact } from "../../src/domain/State.ts"

type Terms = Partial<typeof LoggedSpec.Encoded>

const specOf = (terms: Terms = {}) =>
  Schema.decodeSync(LoggedSpec)({ serviceId: "a", artifact: "a".repeat(64), ...terms })

const name = { tenantId: TenantId.make("t"), serviceId: ServiceId.make("a") }
const one = specOf()
const two = specOf({ artifact: "b".repeat(64) })

const deployed = (spec: LoggedSpec, revision: number): ServiceFact => ({
  _tag: "Deployed",
  name,
  revision,
  spec,
  deployedAt: "",
  eventId: 1,
})
const killed = (revision: number): ServiceFact => ({ _tag: "Killed", name, revision, eventId: 1 })
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
