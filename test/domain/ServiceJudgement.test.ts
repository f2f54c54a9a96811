/**
 * Every way in which log, memory and supervision can disagree about one service (promise 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { judgeService, type Sighting } from "../../src/domain/ServiceJudgement.ts"
import { LoggedSpec } from "../../src/domain/ServiceSpec.ts"
import type { ServiceFact } from "../../src/domain/State.ts"

const name = { tenantId: TenantId.make("acme"), serviceId: ServiceId.make("a") }
const deployedAt = "2026-01-01T00:00:00.000Z"

const specOf = (letter: string) =>
  Schema.decodeSync(LoggedSpec)({ serviceId: "a", artifact: letter.repeat(64) })
const specs = { a: specOf("a"), b: specOf("b") }

const revision = Schema.Literals([1, 2, 3])
const letter = Schema.Literals(["a", "b"])

/** One side of a sighting, small enough that the sides often meet. */
const Side = Schema.Struct({
  fact: Schema.Literals(["none", "deployed", "killed"]),
  revision,
  letter,
  eventId: Schema.Literals([1, 2]),
})

const Sides = Schema.Struct({
  logged: Side,
  remembered: Side,
  present: Schema.UndefinedOr(
    Schema.Struct({
      status: Schema.Literals(["starting", "running", "restarting", "failed", "stopped"]),
      revision,
      letter,
    }),
  ),
})

const factOf = ({ fact, revision, letter, eventId }: typeof Side.Type): ServiceFact | undefined => {
  if (fact === "none") return undefined
  const known = { name, revision, eventId, latestId: eventId, highest: revision }
  return fact === "killed"
    ? { _tag: "Killed", ...known }
    : {
        _tag: "Deployed",
        ...known,
        spec: specs[letter],
        deployedAt,
        previous: null,
        swappingTo: null,
      }
}

const sightingOf = ({ logged, remembered, present }: typeof Sides.Type): Sighting => ({
  name,
  logged: factOf(logged),
  remembered: factOf(remembered),
  present: present && { ...present, spec: specs[present.letter] },
})

const options = { arbitrary: { runs: 3000 } }

describe("judgeService", () => {
  it.prop(
    "finds nothing exactly when log, memory and supervision agree (promise 10)",
    [Sides],
    ([sides]) => {
      const { logged, remembered, present } = sightingOf({ ...sides, remembered: sides.logged })
      const fits =
        logged?._tag === "Deployed"
          ? present?.revision === logged.revision && present.spec === logged.spec
          : present === undefined
      assert.strictEqual(judgeService({ name, logged, remembered, present }).length === 0, fits)
    },
    options,
  )

  it.prop(
    "never lets a repair bring back what memory knows to be killed (promise 2)",
    [Sides],
    ([sides]) => {
      const sighting = sightingOf({ ...sides, remembered: { ...sides.remembered, fact: "killed" } })
      const { logged, remembered } = sighting
      // A later deployment is the last fact, and counts.
      if (logged !== undefined && logged.revision > remembered!.revision) return
      const revivals = judgeService(sighting).filter(
        ({ invariant, fixable }) =>
          fixable && ["service_has_event", "event_has_service"].includes(invariant),
      )
      assert.deepStrictEqual(revivals, [])
    },
    options,
  )

  it.prop(
    "repairs nothing where the log has less than memory: that is for people (promise 5)",
    [Sides],
    ([sides]) => {
      const sighting = sightingOf(sides)
      const { logged, remembered } = sighting
      if (logged === undefined || remembered === undefined) return
      if (logged.revision >= remembered.revision) return
      assert.isTrue(judgeService(sighting).every(({ fixable }) => !fixable))
      assert.include(
        judgeService(sighting).map(({ invariant }) => invariant),
        "memory_is_fold",
      )
    },
    options,
  )

  it.prop(
    "sees a service that is there after its kill, whatever memory says (promise 2)",
    [Sides],
    ([sides]) => {
      const sighting = sightingOf({ ...sides, logged: { ...sides.logged, fact: "killed" } })
      const seen = judgeService(sighting).some((one) => one.invariant === "killed_stays_killed")
      assert.strictEqual(seen, sighting.present !== undefined)
    },
    options,
  )

  it("takes a rollback for later than what it goes back from, and not the reverse", () => {
    const fact = { fact: "deployed", letter: "a" } as const
    const before = { ...factOf({ ...fact, revision: 2, eventId: 1 })!, highest: 2 }
    const after = { ...factOf({ ...fact, revision: 1, eventId: 2 })!, highest: 2 }
    const present = { status: "running", revision: 1, spec: specs.a } as const
    const judge = (logged: ServiceFact, remembered: ServiceFact) =>
      judgeService({ name, logged, remembered, present }).find(
        ({ invariant }) => invariant === "memory_is_fold",
      )?.fixable
    assert.strictEqual(judge(after, before), true)
    assert.strictEqual(judge(before, after), false)
  })

  it("takes a failed service for a known failure, not for a missing one", () => {
    const fact = { fact: "deployed", revision: 1, letter: "a", eventId: 1 } as const
    const present = { status: "failed", revision: 1, letter: "a" } as const
    const sighting = sightingOf({ logged: fact, remembered: fact, present })
    assert.deepStrictEqual(judgeService(sighting), [])
  })
})
