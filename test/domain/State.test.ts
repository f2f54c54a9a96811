/** The fold of the log: only the latest fact about a service counts (promise 2). */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { decodeState, encodeFact, factsInOrder } from "../../src/domain/Checkpoint.ts"
import { draft, type Event, type EventDraft } from "../../src/domain/Event.ts"
import { genesis, type Link, linkHash } from "../../src/domain/HashChain.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { LoggedSpec, ServiceSpec } from "../../src/domain/ServiceSpec.ts"
import { empty, evolve, factOf, shouldRun, type State } from "../../src/domain/State.ts"

const spec = Schema.decodeSync(LoggedSpec)({ serviceId: "a", artifact: "a".repeat(64) })

const other = Schema.decodeSync(LoggedSpec)({ serviceId: "a", artifact: "b".repeat(64) })
const origin = { tenantId: TenantId.make("t"), serviceId: ServiceId.make("a") }

const Step = Schema.Struct({
  what: Schema.Literals([
    "deploy",
    "kill",
    "crash",
    "give up",
    "swap",
    "open",
    "roll back",
    "fail",
  ]),
  tenant: Schema.Literals(["t", "u"]),
  service: Schema.Literals(["a", "b"]),
})

const draftOf = (step: typeof Step.Type, revision: number): EventDraft => {
  const origin = {
    tenantId: TenantId.make(step.tenant),
    serviceId: ServiceId.make(step.service),
  }
  switch (step.what) {
    case "deploy":
      return draft("service_deployed", { revision, spec }, origin)
    case "kill":
      return draft("service_killed", { revision, force: false }, origin)
    case "crash":
      return draft("service_crashed", { revision, reason: "" }, origin)
    case "give up":
      return draft("service_gave_up", { revision, restarts: 1, reason: "" }, origin)
    case "swap":
      return draft("hot_swap_succeeded", { revision, previousRevision: 0, spec }, origin)
    case "open":
      return draft("hot_swap_started", { from: 0, to: revision, artifact: "" }, origin)
    case "roll back":
      return draft("hot_swap_rolled_back", { from: 0, to: revision - 1, reason: "" }, origin)
    case "fail":
      return draft("hot_swap_failed", { from: 0, to: revision - 1, reason: "" }, origin)
  }
}

const eventOf = (event: EventDraft, id: number): Event => ({
  ...event,
  id,
  time: `t${id}`,
  version: 1,
  hash: "",
})

const eventsOf = (drafts: ReadonlyArray<EventDraft>) =>
  drafts.map((one, index) => eventOf(one, index + 1))

const deployed = (revision: number, own = spec) =>
  draft("service_deployed", { revision, spec: own }, origin)
const started = (from: number, to: number) =>
  draft("hot_swap_started", { from, to, artifact: "" }, origin)
const succeeded = (previousRevision: number, revision: number, own = other) =>
  draft("hot_swap_succeeded", { revision, previousRevision, spec: own }, origin)
const rolledBack = (from: number, to: number) =>
  draft("hot_swap_rolled_back", { from, to, reason: "" }, origin)

const foldOf = (...drafts: ReadonlyArray<EventDraft>) =>
  factOf(eventsOf(drafts).reduce(evolve, empty), origin)

const steps = Schema.Array(Step)

describe("State", () => {
  it.prop("is the latest fact of each service, whatever came before", [steps], ([steps]) => {
    const events = eventsOf(steps.map((step, index) => draftOf(step, index)))
    const state = events.reduce(evolve, empty)
    const latest = new Map<string, Event>()
    for (const event of events) {
      const types = ["service_deployed", "service_killed", "hot_swap_succeeded"]
      if (types.includes(event.type)) latest.set(`${event.tenantId}/${event.serviceId}`, event)
    }
    for (const event of latest.values()) {
      const name = { tenantId: event.tenantId!, serviceId: event.serviceId! }
      const fact = factOf(state, name)
      assert.strictEqual(fact?._tag, event.type === "service_killed" ? "Killed" : "Deployed")
      assert.strictEqual(fact?.revision, event.id - 1)
    }
    const expected = [...latest.values()]
      .filter((event) => event.type !== "service_killed")
      .map((event) => event.id)
    assert.deepStrictEqual(
      shouldRun(state).map((fact) => fact.eventId),
      expected.sort((left, right) => left - right),
    )
  })

  it.prop("is the same, folded again, in parts and from a checkpoint", [steps], ([steps]) => {
    const events = eventsOf(steps.map((step, index) => draftOf(step, index)))
    const textOf = (state: State) => factsInOrder(state).map(encodeFact).join("\n")
    const whole = events.reduce(evolve, empty)
    const half = Math.floor(events.length / 2)
    const first = events.slice(0, half).reduce(evolve, empty)
    const restored = Result.getOrThrow(decodeState(textOf(first)))
    assert.strictEqual(textOf(events.reduce(evolve, restored)), textOf(whole))
    assert.strictEqual(textOf(events.reduce(evolve, whole)), textOf(whole))
  })

  it("ignores a fact that names no service", () => {
    assert.strictEqual(
      evolve(empty, eventOf(draft("service_deployed", { revision: 1, spec }), 1)),
      empty,
    )
  })

  it("knows the revision before, and no number twice", () => {
    assert.deepInclude(foldOf(deployed(1), started(1, 2), succeeded(1, 2)), {
      revision: 2,
      highest: 2,
      previous: { revision: 1, spec },
      swappingTo: null,
    })
    const back = [deployed(1), started(1, 2), succeeded(1, 2), started(2, 1), succeeded(2, 1, spec)]
    assert.deepInclude(foldOf(...back), {
      revision: 1,
      highest: 2,
      previous: { revision: 2, spec: other },
    })
    const killed = draft("service_killed", { revision: 1, force: false }, origin)
    assert.deepInclude(foldOf(...back, killed), { _tag: "Killed", revision: 1, highest: 2 })
    assert.deepInclude(foldOf(...back, killed, deployed(3)), { highest: 3, previous: null })
  })

  it("is the revision before until a swap has succeeded, and uses up its number", () => {
    const open = foldOf(deployed(1), started(1, 2))
    assert.deepInclude(open, { revision: 1, eventId: 1, highest: 2, swappingTo: 2, previous: null })
    const closed = foldOf(deployed(1), started(1, 2), rolledBack(1, 2))
    assert.deepInclude(closed, { revision: 1, eventId: 1, highest: 2, swappingTo: null })
  })

  it("is not undone by the end of a swap that another event has overtaken", () => {
    const late = foldOf(deployed(1), started(1, 2), succeeded(1, 2), rolledBack(1, 2))
    assert.deepInclude(late, { revision: 2, previous: { revision: 1, spec } })
    const other = foldOf(deployed(1), started(1, 3), rolledBack(1, 2))
    assert.deepInclude(other, { swappingTo: 3 })
  })
})

describe("HashChain", () => {
  const link: Link = {
    id: 1,
    time: "t",
    tenantId: "t",
    serviceId: null,
    type: "x",
    version: 1,
    actor: null,
    causationId: null,
    payload: "{}",
  }
  const identity = (text: string) => text

  it("covers every column and the hash before it (promise 5)", () => {
    const hash = linkHash(identity, genesis, link)
    const changes: ReadonlyArray<Partial<Link>> = [
      { id: 2 },
      { time: "u" },
      { tenantId: "u" },
      { tenantId: null, serviceId: "t" },
      { serviceId: "s" },
      { type: "y" },
      { version: 2 },
      { actor: "a" },
      { causationId: 1 },
      { payload: "{ }" },
    ]
    for (const change of changes) {
      assert.notStrictEqual(linkHash(identity, genesis, { ...link, ...change }), hash)
    }
    assert.notStrictEqual(linkHash(identity, hash, link), hash)
  })
})

describe("ServiceSpec", () => {
  const decode = Schema.decodeUnknownSync(ServiceSpec)
  const minimal = { serviceId: "a", source: "x" }

  it("fills in what the interface names as defaults", () => {
    const { limits, restart, format, env, secrets, network, healthPath } = decode(minimal)
    assert.deepStrictEqual(
      { limits, restart, format, env, secrets, network, healthPath },
      {
        limits: {
          heapMb: 64,
          cpuPercent: 200,
          startupTimeoutMs: 5000,
          shutdownTimeoutMs: 5000,
          requestTimeoutMs: 30_000,
          maxRestarts: 5,
          maxSeconds: 60,
        },
        restart: "permanent",
        format: "typescript",
        env: {},
        secrets: [],
        network: [],
        healthPath: null,
      },
    )
  })

  it("refuses what is out of bounds", () => {
    for (const wrong of [
      { serviceId: "" },
      { serviceId: "a/b" },
      { serviceId: "a".repeat(129) },
      { serviceId: "a\n" },
      { source: "" },
      { source: 7 },
      { format: "wasm" },
      { restart: "always" },
      { limits: { heapMb: 0 } },
      { limits: { heapMb: 1.5 } },
      { limits: { startupTimeoutMs: -1 } },
      { limits: { maxRestarts: Number.NaN } },
      { env: { "1A": "x" } },
      { env: { A: 1 } },
      { env: Object.fromEntries(Array.from({ length: 129 }, (_, n) => [`K${n}`, ""])) },
      { secrets: [""] },
      { healthPath: "health" },
      { healthPath: "/a b" },
      { healthPath: "/a#b" },
      { healthPath: `/${"a".repeat(1024)}` },
      { network: Array.from({ length: 129 }, () => "h:1") },
    ]) {
      assert.throws(
        () => decode({ ...minimal, ...wrong }),
        undefined,
        undefined,
        JSON.stringify(wrong),
      )
    }
  })
})
