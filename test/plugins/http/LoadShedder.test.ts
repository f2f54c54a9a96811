/**
 * One greedy tenant cannot starve another: places are shared, turns are taken, and what is too much
 * is refused with when to try again.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import { makeTurns } from "../../../plugins/http/Turns.ts"
import { makeShares } from "../../../src/kernel/Shares.ts"
import { spec, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"

const places = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))
const step = Schema.Struct({ key: Schema.Literals(["a", "b", "c", "d"]), enters: Schema.Boolean })

describe("shares", () => {
  it.prop(
    "hold their bounds, keep room for a newcomer, and forget nobody",
    { total: places, each: places, steps: Schema.Array(step) },
    ({ each, steps, total }) => {
      const shares = makeShares(total, each)
      const held: Record<string, number> = {}
      let taken = 0
      for (const { enters, key } of steps) {
        const mine = held[key] ?? 0
        if (!enters) {
          if (mine === 0) continue
          shares.leave(key)
          held[key] = mine - 1
          taken--
          continue
        }
        const outcome = shares.enter(key)
        assert.strictEqual(outcome === "full", taken === total)
        // Whoever has nothing gets something while there is anything.
        if (mine === 0 && taken < total) assert.strictEqual(outcome, "entered")
        if (outcome === "entered") {
          held[key] = mine + 1
          taken++
        }
        assert.isAtMost(held[key] ?? 0, each)
      }
      assert.strictEqual(shares.taken(), taken)
    },
  )
})

describe("turns", () => {
  it("alternate between tenants, however many one of them wants", async () => {
    const turns = makeTurns(2)
    const order: Array<string> = []
    const one = (key: string) => Effect.map(turns.take(key), () => void order.push(key))
    const greedy = Effect.forEach(Array.from({ length: 50 }), () => one("greedy"), {
      concurrency: "unbounded",
    })
    await Effect.runPromise(
      Effect.all([greedy, one("modest"), one("other")], { concurrency: "unbounded" }),
    )
    assert.strictEqual(order.length, 52)
    assert.isAtMost(order.indexOf("modest"), 5)
    assert.isAtMost(order.indexOf("other"), 6)
  })

  it("given up while waiting are nobody's", async () => {
    const turns = makeTurns(1)
    const gone = Effect.timeoutOption(Effect.andThen(turns.take("a"), Effect.never), 1)
    await Effect.runPromise(
      Effect.all([gone, gone, gone, turns.take("b")], { concurrency: "unbounded" }),
    )
    assert.isUndefined(await Effect.runPromise(turns.take("a")))
  })
})

describe("requests in flight", () => {
  it("are bounded per tenant with 429, without harm to another tenant or to root", async () => {
    const gateway = await startGateway({ maxInFlight: 8 })
    const greedy = await gateway.grant({ permissions: ["invoke", "read"] }, "greedy")
    const modest = await gateway.grant({ permissions: ["invoke", "read"] }, "modest")
    const release = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Effect.as(Deferred.await(release), { status: 200, headers: [], body: null })
    const invoke = (token: string, tenant: string) =>
      fetch(`${gateway.url}/services/${tenant}/x/`, {
        headers: { authorization: `Bearer ${token}` },
      })
    // Half of the places: four of ten. The last ones find the others in their place.
    const asked = Array.from({ length: 10 }, () => invoke(greedy, "greedy"))
    const refused: Array<Response> = []
    while (refused.length < 6) {
      const first = await Promise.race(asked.map((one, index) => one.then(() => index)))
      refused.push(await asked.splice(first, 1)[0]!)
    }
    for (const response of refused) {
      assert.match(response.headers.get("retry-after") ?? "", /^\d+$/)
      await assertProblem(response, 429, "tenant-overloaded")
    }
    const listed = await gateway.call("/v1/services", {
      headers: { authorization: `Bearer ${modest}`, "x-tenant-id": "modest" },
    })
    assert.strictEqual(listed.status, 200)
    assert.strictEqual((await gateway.call("/v1/services")).status, 200)
    const own = await gateway.call("/v1/services", {
      headers: { authorization: `Bearer ${greedy}`, "x-tenant-id": "greedy" },
    })
    // The API has places of its own.
    assert.strictEqual(own.status, 200)

    Effect.runSync(Deferred.succeed(release, undefined))
    for (const response of await Promise.all(asked)) assert.strictEqual(response.status, 200)
    assert.strictEqual((await invoke(greedy, "greedy")).status, 200)
    await gateway.stop()
  })

  it("to services leave a tenant its API, within the same bound", async () => {
    const gateway = await startGateway({ maxInFlightPerTenant: 4 })
    const token = await gateway.grant({ permissions: ["invoke", "deploy", "kill", "read"] })
    const headers = { authorization: `Bearer ${token}` }
    assert.strictEqual((await gateway.deploy(spec("x"), headers)).status, 201)
    const release = Deferred.makeUnsafe<void>()
    const begun = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Effect.as(Deferred.await(release), { status: 200, headers: [], body: null })
    const invoke = () => gateway.call("/services/acme/x/", { headers })
    const asked = Array.from({ length: 5 }, invoke)
    const refused = await Promise.race(asked)
    await assertProblem(refused, 429, "tenant-overloaded")
    assert.strictEqual(
      (await gateway.call("/v1/services/x", { method: "DELETE", headers })).status,
      200,
    )
    gateway.kernel.control.deploying = Effect.andThen(
      Deferred.succeed(begun, undefined),
      Deferred.await(release),
    )
    const deploying = gateway.deploy(spec("y"), headers)
    await Effect.runPromise(Deferred.await(begun))
    const beyond = await gateway.call("/v1/services", { headers })
    await assertProblem(beyond, 429, "tenant-overloaded")
    Effect.runSync(Deferred.succeed(release, undefined))
    assert.strictEqual((await deploying).status, 201)
    await Promise.all(asked)
    await gateway.stop()
  })

  it("are bounded in total with 503", async () => {
    const gateway = await startGateway({ maxInFlight: 1 })
    const release = Deferred.makeUnsafe<void>()
    const begun = Deferred.makeUnsafe<void>()
    gateway.kernel.control.serve = () =>
      Deferred.succeed(begun, undefined).pipe(
        Effect.andThen(Deferred.await(release)),
        Effect.as({ status: 200, headers: [], body: null }),
      )
    const first = gateway.call("/services/acme/x/")
    await Effect.runPromise(Deferred.await(begun))
    const second = await gateway.call("/v1/services", { headers: { "x-tenant-id": "other" } })
    assert.match(second.headers.get("retry-after") ?? "", /^\d+$/)
    await assertProblem(second, 503, "kernel-overloaded")
    assert.strictEqual((await fetch(`${gateway.url}/health/ready`)).status, 200)
    Effect.runSync(Deferred.succeed(release, undefined))
    assert.strictEqual((await first).status, 200)
    await gateway.stop()
  })
})
