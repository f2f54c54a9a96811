/**
 * Secrets over HTTP: stored, named and revoked, and never answered, not even when the request was
 * wrong (promises 2, 6 and 8). And the operator's routes.
 */
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { type RunningGateway, spec, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.stop())

const planted = "hunter2-planted-secret"

const put = (name: string, json: unknown, headers: Record<string, string> = {}) =>
  gateway.call(`/v1/secrets/${name}`, { method: "PUT", json, headers })

describe("/v1/secrets", () => {
  it("stores, names, replaces and revokes", async () => {
    for (const value of [planted, "", "ä".repeat(100)]) {
      const stored = await put("api.key", { value })
      assert.strictEqual(stored.status, 200)
      assert.deepStrictEqual(await stored.json(), { name: "api.key", exists: true } as never)
    }
    const asked = await (await gateway.call("/v1/secrets/api.key")).json()
    assert.deepStrictEqual(asked, { name: "api.key", exists: true } as never)
    const listed = (await (await gateway.call("/v1/secrets")).json()) as {
      items: Array<{ name: string; storedAt: string }>
    }
    assert.deepStrictEqual(
      listed.items.map(({ name }) => name),
      ["api.key"],
    )
    assert.isFalse(Number.isNaN(Date.parse(listed.items[0]!.storedAt)))

    // Another tenant sees neither it nor a difference (promise 6).
    const headers = { "x-tenant-id": "stranger" }
    const theirs = await gateway.call("/v1/secrets/api.key", { headers })
    assert.deepStrictEqual(await theirs.json(), { name: "api.key", exists: false } as never)
    const taken = await gateway.call("/v1/secrets/api.key", { method: "DELETE", headers })
    await assertProblem(taken, 404, "secret-not-found")

    const revoked = await gateway.call("/v1/secrets/api.key", { method: "DELETE" })
    assert.strictEqual(revoked.status, 200)
    const again = await gateway.call("/v1/secrets/api.key", { method: "DELETE" })
    await assertProblem(again, 404, "secret-not-found")
  })

  it("lists in pages", async () => {
    const headers = { "x-tenant-id": "pages" }
    for (const name of ["c", "a", "b"]) await put(name, { value: "v" }, headers)
    const first = (await (await gateway.call("/v1/secrets?limit=2", { headers })).json()) as {
      items: Array<{ name: string }>
      next: string
    }
    assert.deepStrictEqual(
      first.items.map(({ name }) => name),
      ["a", "b"],
    )
    const path = `/v1/secrets?limit=2&cursor=${first.next}`
    const second = (await (await gateway.call(path, { headers })).json()) as typeof first
    assert.deepStrictEqual(
      second.items.map(({ name }) => name),
      ["c"],
    )
    assert.isNull(second.next)
  })

  it("repeats nothing of a body that is wrong", async () => {
    for (const wrong of [
      { value: [planted] },
      { value: { [planted]: 1 } },
      { [planted]: planted },
      { value: "v", [planted]: 1 },
      [planted],
      planted,
      null,
    ]) {
      const problem = await assertProblem(await put("k", wrong), 400, "invalid-request")
      assert.notInclude(JSON.stringify(problem), planted)
      assert.include(problem.detail, "value")
    }
    for (const body of [`{"value": "${planted}`, planted, `{"value": "${planted}"}}`]) {
      const response = await gateway.call("/v1/secrets/k", {
        method: "PUT",
        body,
        headers: { "content-type": "application/json" },
      })
      const problem = await assertProblem(response, 400, "malformed-body")
      assert.notInclude(JSON.stringify(problem), planted)
    }
    const large = await put("k", { value: planted.repeat(4000) })
    assert.notInclude(JSON.stringify(await assertProblem(large, 413, "secret-too-large")), planted)
    assert.isFalse(gateway.logged.some((line) => line.includes(planted)))
  })

  it("refuses names that are none", async () => {
    for (const name of ["a%20b", "x".repeat(129), "%C3%A4"]) {
      await assertProblem(await put(name, { value: "v" }), 400, "invalid-request")
    }
  })
})

describe("the operator's routes", () => {
  const post = (path: string) => gateway.call(path, { method: "POST" })

  it("replace the master key, and keep a root token that was given", async () => {
    await put("kept", { value: planted })
    const rotated = await post("/v1/master-key/rotate")
    assert.deepStrictEqual(await rotated.json(), { dataKeys: 2 } as never)
    await assertProblem(await post("/v1/root-token/rotate"), 409, "key-fixed")
  })

  it("show the walls", async () => {
    const response = await gateway.call("/v1/runtime")
    assert.deepStrictEqual(await response.json(), {
      driver: "fake",
      isolation: "none",
      walls: [{ name: "paper", stands: false, detail: "it fell" }],
    } as never)
  })

  it("verify and repair", async () => {
    await assertProblem(await gateway.call("/v1/verification"), 404, "verification-not-found")
    const verified = (await (await post("/v1/verification?full=true")).json()) as object
    assert.deepInclude(verified, { full: true, status: "ok" })
    const shown = (await (await gateway.call("/v1/verification")).json()) as object
    assert.deepStrictEqual(shown, verified)
    const fixed = await post("/v1/verification/fix?missingServices=kill")
    assert.deepInclude((await fixed.json()) as object, { fixes: [], failures: [] })
    await assertProblem(await post("/v1/verification?full=maybe"), 400, "invalid-request")
  })

  it("show metrics: all to root, a tenant's own to its tokens (promise 6)", async () => {
    await gateway.deploy(spec("measured"))
    await gateway.deploy(spec("foreign"), { "x-tenant-id": "stranger" })
    const read = async (headers: Record<string, string>) => {
      const response = await fetch(`${gateway.url}/metrics`, { headers })
      assert.strictEqual(
        response.headers.get("content-type"),
        "text/plain; version=0.0.4; charset=utf-8",
      )
      return response.text()
    }
    const token = await gateway.grant({ permissions: ["metrics"] })
    const own = await read({ authorization: `Bearer ${token}` })
    assert.include(own, 'solo_service_memory_bytes{tenantId="acme",serviceId="measured"} 1')
    assert.include(own, "solo_service_restarts Restarts since this process took it over")
    assert.notInclude(own, "stranger")
    assert.notInclude(own, "solo_token_checks_total")
    const bound = await gateway.grant({ permissions: ["metrics"], serviceId: "none" })
    assert.strictEqual(await read({ authorization: `Bearer ${bound}` }), "")
    const { authorization } = (await import("./Harness.ts")).asRoot
    const all = await read({ authorization })
    assert.include(all, "solo_token_checks_total")
    assert.notInclude(all, token)
  })
})
