/** The fold of the log: only the latest fact about a service counts (promise 2). */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

import { draft, type Event, type EventDraft } from "../../src/domain/Event.ts"
import { genesis, type Link, linkHash } from "../../src/domain/HashChain.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { LoggedSpec, ServiceSpec } from "../../src/domain/ServiceSpec.ts"
import { empty, evolve, factOf, shouldRun } from "../../src/domain/State.ts"

const spec = Schema.decodeSync(LoggedSpec)({ serviceId: "a", artifact: "a".repeat(64) })

const Step = Schema.Struct({
  what: Schema.Literals(["deploy", "kill", "crash", "give up"]),
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
  }
}

const eventOf = (event: EventDraft, id: number): Event => ({
  ...event,
  id,
  time: `t${id}`,
  version: 1,
  hash: "",
})

describe("State", () => {
  it.prop(
    "is the latest fact of each service, whatever came before",
    [Schema.Array(Step)],
    ([steps]) => {
      const events = steps.map((step, index) => eventOf(draftOf(step, index), index + 1))
      const state = events.reduce(evolve, empty)
      const latest = new Map<string, Event>()
      for (const event of events) {
        if (event.type !== "service_deployed" && event.type !== "service_killed") continue
        latest.set(`${event.tenantId}/${event.serviceId}`, event)
      }
      for (const event of latest.values()) {
        const name = { tenantId: event.tenantId!, serviceId: event.serviceId! }
        const fact = factOf(state, name)
        assert.strictEqual(fact?._tag, event.type === "service_killed" ? "Killed" : "Deployed")
        assert.strictEqual(fact?.revision, event.id - 1)
      }
      const expected = [...latest.values()]
        .filter((event) => event.type === "service_deployed")
        .map((event) => event.id)
      assert.deepStrictEqual(
        shouldRun(state).map((fact) => fact.eventId),
        expected.sort((left, right) => left - right),
      )
    },
  )

  it("ignores a fact that names no service", () => {
    assert.strictEqual(
      evolve(empty, eventOf(draft("service_deployed", { revision: 1, spec }), 1)),
      empty,
    )
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
    const { limits, restart, format, env, secrets, network } = decode(minimal)
    assert.deepStrictEqual(
      { limits, restart, format, env, secrets, network },
      {
        limits: {
          heapMb: 64,
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
