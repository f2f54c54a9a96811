/**
 * Every way in which log, memory and supervision can disagree about one service (promise 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { judgeService, type Present, type Sighting } from "../../src/domain/ServiceJudgement.ts"
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

describe("judgements, one by one", () => {
  const deployed = (revision: number, { eventId = 1, highest = revision, letter = "a" } = {}) =>
    ({
      ...factOf({ fact: "deployed", revision: 1, letter: letter as "a", eventId: 1 })!,
      revision,
      highest,
      eventId,
    }) as ServiceFact
  const killed = (revision: number, { eventId = 1, highest = revision } = {}) =>
    ({ _tag: "Killed", name, revision, highest, eventId, latestId: eventId }) as const
  const there = (revision = 1, status: Present["status"] = "running", letter: "a" | "b" = "a") => ({
    revision,
    status,
    spec: specs[letter],
  })

  type Facts = readonly [
    logged: ServiceFact | undefined,
    remembered: ServiceFact | undefined,
    present: Present | undefined,
  ]
  const orphan = (status: string) => `revision 1 is ${status} without a service_deployed`
  const memory = (logged: string, remembered: string) =>
    `the log says ${logged}, the kernel remembers ${remembered}`
  const gone = "revision 1 was deployed and is not there"
  const undead = "revision 1 is running after its service_killed"
  /** What is seen, and of each finding whether it can be repaired and what it says. */
  const cases: Record<string, readonly [Facts, ReadonlyArray<readonly [boolean, string]>]> = {
    "nothing anywhere": [[undefined, undefined, undefined], []],
    "as deployed": [[deployed(1), deployed(1), there()], []],
    "killed, and logged so twice": [[killed(1, { eventId: 3 }), killed(1), undefined], []],
    "deployed and gone": [[deployed(1), deployed(1), undefined], [[true, gone]]],
    "running without event": [[undefined, undefined, there()], [[true, orphan("running")]]],
    "starting without event": [
      [undefined, undefined, there(1, "starting")],
      [[true, orphan("starting")]],
    ],
    "failed without event": [
      [undefined, undefined, there(1, "failed")],
      [[false, orphan("failed")]],
    ],
    "running, and only its event is gone": [
      [undefined, deployed(1), there()],
      [[true, orphan("running")]],
    ],
    "gone everywhere but in memory": [
      [undefined, deployed(1), undefined],
      [[false, memory("nothing", "deployed (revision 1)")]],
    ],
    "killed without event, and there again": [
      [undefined, killed(1), there()],
      [
        [false, memory("nothing", "killed (revision 1)")],
        [false, orphan("running")],
      ],
    ],
    "killed and there": [[killed(1), killed(1), there()], [[true, undead]]],
    "killed behind the kernel's back": [
      [killed(1), deployed(1), there()],
      [
        [true, memory("killed (revision 1)", "deployed (revision 1)")],
        [true, undead],
      ],
    ],
    "killed, but the log says less than memory": [
      [killed(1), deployed(2), there()],
      [
        [false, memory("killed (revision 1)", "deployed (revision 2)")],
        [false, undead],
      ],
    ],
    "deployed again after a kill that the log has lost": [
      [deployed(1), killed(1), undefined],
      [
        [false, memory("deployed (revision 1)", "killed (revision 1)")],
        [false, gone],
      ],
    ],
    "deployed behind the kernel's back": [
      [deployed(1), undefined, there()],
      [[true, memory("deployed (revision 1)", "nothing")]],
    ],
    "swapped behind the kernel's back": [
      [deployed(2), deployed(1), there()],
      [
        [true, memory("deployed (revision 2)", "deployed (revision 1)")],
        [false, "revision 1 is running, revision 2 was deployed"],
      ],
    ],
    "swapped, and the log has lost it": [
      [deployed(1), deployed(2), there(1)],
      [[false, memory("deployed (revision 1)", "deployed (revision 2)")]],
    ],
    "a revision begun that memory missed": [
      [killed(1, { highest: 2 }), killed(1), undefined],
      [[true, memory("killed (revision 1)", "killed (revision 1)")]],
    ],
    "one deployment as two events": [
      [deployed(1, { eventId: 3 }), deployed(1), there()],
      [[false, memory("deployed (revision 1)", "deployed (revision 1)")]],
    ],
    "two revisions by one event": [
      [deployed(1, { highest: 3 }), deployed(2, { highest: 3 }), there()],
      [[false, memory("deployed (revision 1)", "deployed (revision 2)")]],
    ],
    "another spec of the same revision": [
      [deployed(1), deployed(1), there(1, "restarting", "b")],
      [[false, "revision 1 is restarting with another spec than was deployed"]],
    ],
  }
  it.each(Object.entries(cases))("%s", (_, [[logged, remembered, present], expected]) => {
    const found = judgeService({ name, logged, remembered, present })
    assert.deepStrictEqual(
      found.map(({ detail, fixable }) => [fixable, detail] as const),
      expected,
    )
    for (const { serviceId, tenantId } of found) assert.deepEqual({ serviceId, tenantId }, name)
  })

  it("names the event that a missing service was deployed by", () => {
    const fact = deployed(1, { eventId: 7 })
    const [found] = judgeService({ name, logged: fact, remembered: fact, present: undefined })
    assert.strictEqual(found?.eventId, 7)
  })
})
