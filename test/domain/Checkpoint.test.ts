/**
 * The text of a checkpoint: one for each state, whatever way it came about, and none for what is no
 * state (promises 3 and 4).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { decodeState, encodeFact, factsInOrder } from "../../src/domain/Checkpoint.ts"
import { draft, type Event } from "../../src/domain/Event.ts"
import { ServiceId, serviceKey, TenantId } from "../../src/domain/Identifier.ts"
import { LoggedSpec } from "../../src/domain/ServiceSpec.ts"
import { empty, evolve } from "../../src/domain/State.ts"

const spec = Schema.decodeSync(LoggedSpec)({ serviceId: "a", artifact: "a".repeat(64) })

/** The state after a deployment and a swap of each service. */
const stateOf = (services: ReadonlyArray<string>) => {
  const drafts = services.flatMap((service, n) => {
    const origin = { tenantId: TenantId.make(`t${n % 3}`), serviceId: ServiceId.make(service) }
    return [
      draft("service_deployed", { revision: 1, spec }, origin),
      draft("hot_swap_succeeded", { revision: 2, previousRevision: 1, spec }, origin),
    ]
  })
  let state = empty
  for (const [n, event] of drafts.entries())
    state = evolve(state, { ...event, id: n + 1, time: "x", version: 1, hash: "" } as Event)
  return state
}

const names = Array.from({ length: 50 }, (_, n) => `s${(n * 7919) % 1000}`)

describe("a checkpoint's text", () => {
  it("lists the facts in the order of their names", () => {
    const keys = factsInOrder(stateOf(names)).map(({ name }) => serviceKey(name))
    assert.strictEqual(keys.length, 50)
    assert.deepStrictEqual(keys, [...keys].sort())
  })

  const line = encodeFact(factsInOrder(stateOf(["a"]))[0]!)
  const damages: ReadonlyArray<readonly [string, string]> = [
    [`"tenantId":"t0"`, `"tenantId":"no/id"`],
    [`"serviceId":"a"`, `"serviceId":7`],
    [`"previous":{"revision":1`, `"previous":{"revision":"one"`],
    [`"revision":2`, `"revision":-2`],
    [`"Deployed"`, `"Undead"`],
    [`"highest":2`, `"highest":null`],
  ]
  it.each(damages)("is refused where %s became %s", (from, to) => {
    assert.include(line, from)
    assert.isTrue(Result.isSuccess(decodeState(line)))
    const decoded = decodeState(`${line}\n${line.replace(from, to)}`)
    assert.isTrue(Result.isFailure(decoded))
  })
})
