/**
 * What a verification counts of services and sources, and how long it may hold a service's lock
 * (promises 4 and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { SqlClient } from "effect/sql/SqlClient"

import { draft } from "../../../src/domain/Event.ts"
import { Deployer } from "../../../src/kernel/services/Deployer.ts"
import { Registry } from "../../../src/kernel/services/Registry.ts"
import * as Machine from "../harness/Machine.ts"
import { deploy, namesOf, verify } from "./Mischief.ts"
import { caller, newDatabase, run, spec } from "./Run.ts"

const a = Machine.named("acme", "a")

describe("an audit of services", () => {
  it.live("compares what the registry lists, what it counts, and what it counts by tenant", () =>
    Effect.gen(function* () {
      const registry = yield* Registry
      yield* deploy("a", "b")
      const { count, countOf } = registry
      assert.deepStrictEqual(namesOf(yield* verify()), [])
      Object.assign(registry, { count: () => 3 })
      assert.deepStrictEqual(namesOf(yield* verify()), ["counts_match"])
      Object.assign(registry, { count, countOf: () => 1 })
      assert.deepStrictEqual(namesOf(yield* verify()), ["counts_match"])
      Object.assign(registry, { countOf })
      assert.deepStrictEqual(namesOf(yield* verify()), [])
    }).pipe(run(newDatabase())),
  )

  it.live("looks at a source that several services share once, and misses it for each", () =>
    Effect.gen(function* () {
      const deployer = yield* Deployer
      for (const name of ["a", "b"]) yield* deployer.deploy(caller("acme"), spec(name, "shared"))
      yield* deployer.deploy(caller("globex"), spec("a", "its own"))
      assert.strictEqual((yield* verify()).consistencyChecks.artifactsChecked, 2)
      yield* (yield* SqlClient)`DELETE FROM artifacts WHERE source = 'shared'`
      const { inconsistencies } = yield* verify()
      assert.sameMembers(
        inconsistencies.map((one) => `${one.invariant} ${one.tenantId}/${one.serviceId}`),
        ["artifact_intact acme/a", "artifact_intact acme/b"],
      )
      const events = new Set(inconsistencies.map(({ eventId }) => eventId))
      assert.strictEqual(events.size, 2)
      assert.isFalse(events.has(null))
    }).pipe(run(newDatabase())),
  )

  it.effect("carries to its end what it began under a lock, however long that takes", () =>
    Effect.gen(function* () {
      const kernel = yield* Machine.boot()
      const limits = { shutdownTimeoutMs: 8000 }
      yield* Machine.deploy(kernel, a, { stop: "hang" }, { limits })
      yield* kernel.store.emit(draft("service_killed", { revision: 1, force: false }, a))
      const repair = yield* Effect.forkChild(kernel.verifier.autoFix())
      yield* Machine.pass(10_000, 500)
      const { fixes, failures } = yield* Fiber.join(repair)
      assert.deepStrictEqual(
        fixes.map(({ action }) => action as string),
        ["reread", "stopped"],
      )
      assert.deepStrictEqual(failures, [])
      assert.deepStrictEqual(Machine.running(kernel), [])
      yield* Machine.halt(kernel)
    }),
  )
})
