/**
 * Tokens over HTTP: granted, narrowed, checked, listed and revoked, with every refusal (promises 1,
 * 2, 6 and 8).
 */
import { hash } from "node:crypto"

import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { asRoot, readEvents, type RunningGateway, startGateway } from "./Harness.ts"
import { assertProblem } from "./Problems.ts"

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway({ streamKeepAliveMs: 20 })
})
afterAll(() => gateway.stop())

const as = (token: string, headers: Record<string, string> = {}) => ({
  ...headers,
  authorization: `Bearer ${token}`,
})

const post = (path: string, json: unknown, headers: Record<string, string> = {}) =>
  gateway.call(path, { method: "POST", json, headers })

const verify = (token: string) => post("/v1/tokens/verify", undefined, as(token))

interface Token {
  readonly token: string
  readonly tokenHash: string
}

const granted = async (response: Response) => {
  assert.strictEqual(response.status, 201)
  return (await response.json()) as Token
}

describe("POST /v1/tokens", () => {
  it("answers the token once, and what it is good for", async () => {
    const response = await post("/v1/tokens", {
      permissions: ["read", "invoke"],
      serviceId: "one",
      ttlSeconds: 60,
      rateLimit: { requests: 5, perSeconds: 1 },
      metadata: { for: "a test" },
    })
    const body = (await granted(response)) as Token & Record<string, unknown>
    assert.match(body.token, /^solo_[A-Za-z0-9_-]{43}$/)
    assert.strictEqual(body.tokenHash, hash("sha256", body.token))
    assert.deepInclude(body, {
      tenantId: "acme",
      permissions: ["read", "invoke"],
      serviceId: "one",
      grantedBy: "root",
      parent: null,
      durable: true,
    })
    assert.strictEqual(
      Date.parse(body["expiresAt"] as string) - Date.parse(body["grantedAt"] as string),
      60_000,
    )
    const listed = await (await gateway.call("/v1/tokens")).text()
    assert.include(listed, body.tokenHash)
    assert.notInclude(listed, body.token)
  })

  it("refuses a wider token with 403, whichever way it is wider", async () => {
    const token = await gateway.grant({
      permissions: ["grant", "read"],
      serviceId: "one",
      ttlSeconds: 60,
      rateLimit: { requests: 1000, perSeconds: 1 },
    })
    for (const wider of [
      { permissions: ["read", "kill"] },
      { permissions: ["read"], serviceId: "two" },
      { permissions: ["read"], ttlSeconds: 61 },
      { permissions: ["read"], rateLimit: { requests: 1001, perSeconds: 1 } },
    ]) {
      await assertProblem(await post("/v1/tokens", wider, as(token)), 403, "would-widen")
      await assertProblem(await post("/v1/tokens/attenuate", wider, as(token)), 403, "would-widen")
    }
    await granted(await post("/v1/tokens", { permissions: ["read"] }, as(token)))
  })

  it("never grants root, and names what is wrong", async () => {
    await assertProblem(await post("/v1/tokens", { permissions: ["root"] }), 403, "would-widen")
    for (const wrong of [
      {},
      { permissions: [] },
      { permissions: ["fly"] },
      { permissions: ["read", "read"] },
      { permissions: ["read"], ttlSeconds: 0 },
      { permissions: ["read"], serviceId: "a b" },
      { permissions: ["read"], unknown: 1 },
      { permissions: ["read"], metadata: { text: "x".repeat(5000) } },
    ]) {
      await assertProblem(await post("/v1/tokens", wrong), 400, "invalid-request")
    }
  })
})

describe("POST /v1/tokens/attenuate", () => {
  it("needs no permission but a good token, and dies with its parent", async () => {
    const parent = await gateway.grant({ permissions: ["read", "invoke"] })
    const child = await gateway.attenuate(parent, { permissions: ["read"] })
    const grandchild = await gateway.attenuate(child, { serviceId: "one" })
    assert.strictEqual((await verify(grandchild)).status, 200)
    const revoked = await gateway.call(`/v1/tokens/${hash("sha256", parent)}`, {
      method: "DELETE",
    })
    assert.deepInclude(await revoked.json(), { revoked: 3 })
    for (const token of [parent, child, grandchild]) {
      await assertProblem(await verify(token), 401, "unauthenticated")
    }
  })

  it("is refused to the root token, and 17 deep", async () => {
    await assertProblem(await post("/v1/tokens/attenuate", {}, asRoot), 400, "root-not-attenuable")
    let token = await gateway.grant({ permissions: ["read"] })
    for (let depth = 0; depth < 16; depth++) token = await gateway.attenuate(token, {})
    const deeper = await post("/v1/tokens/attenuate", {}, as(token))
    await assertProblem(deeper, 422, "attenuated-too-often")
  })
})

describe("POST /v1/tokens/verify", () => {
  it("says what the token is good for, until its time is over", async () => {
    const token = await gateway.grant({ permissions: ["read"], ttlSeconds: 60 })
    const good = await verify(token)
    assert.strictEqual(good.status, 200)
    const body = (await good.json()) as Record<string, unknown>
    assert.deepInclude(body, { valid: true, permissions: ["read"], tenantId: "acme" })
    assert.isString(body["expiresAt"])
    gateway.kernel.advance(60_000)
    await assertProblem(await verify(token), 401, "unauthenticated")
  })

  it("says that root is good for everything", async () => {
    const response = await fetch(`${gateway.url}/v1/tokens/verify`, {
      method: "POST",
      headers: asRoot,
    })
    const body = (await response.json()) as { permissions: ReadonlyArray<string> }
    assert.deepInclude(body, { valid: true, tenantId: null, expiresAt: null } as never)
    assert.include(body.permissions, "root")
  })

  it("answers 429 with Retry-After beyond the token's rate", async () => {
    const token = await gateway.grant({
      permissions: ["read"],
      rateLimit: { requests: 2, perSeconds: 3600 },
    })
    const child = await gateway.attenuate(token, {})
    assert.strictEqual((await verify(child)).status, 200)
    const refused = await verify(child)
    assert.isAtLeast(Number(refused.headers.get("retry-after")), 2)
    await assertProblem(refused, 429, "rate-exceeded")
  })
})

describe("GET and DELETE /v1/tokens", () => {
  it("list a tenant's own in pages, and revoke none of another's (promise 6)", async () => {
    const hashes: Array<string> = []
    for (let n = 0; n < 5; n++) {
      hashes.push(hash("sha256", await gateway.grant({ permissions: ["read"] }, "pages")))
    }
    const headers = { "x-tenant-id": "pages" }
    const seen: Array<string> = []
    let next: string | null = null
    do {
      const query: string = next === null ? "" : `&cursor=${next}`
      const response = await gateway.call(`/v1/tokens?limit=2${query}`, { headers })
      const page = (await response.json()) as { items: Array<Token>; next: string | null }
      seen.push(...page.items.map(({ tokenHash }) => tokenHash))
      next = page.next
    } while (next !== null)
    assert.deepStrictEqual(seen, hashes.toSorted())

    const stranger = await gateway.grant({ permissions: ["grant"] }, "stranger")
    const there = await gateway.call(`/v1/tokens/${hashes[0]!}`, {
      method: "DELETE",
      headers: { "x-tenant-id": "stranger", ...as(stranger) },
    })
    await assertProblem(there, 404, "token-not-found")
    const wrong = await gateway.call("/v1/tokens?cursor=eDox", { headers })
    await assertProblem(wrong, 400, "invalid-request")
  })

  it("do not repeat a token that was sent in the place of its hash", async () => {
    const token = await gateway.grant({ permissions: ["read"] })
    for (const method of ["DELETE", "PATCH", "GET"]) {
      const response = await gateway.call(`/v1/tokens/${token}`, { method })
      assert.isAtLeast(response.status, 400)
      assert.notInclude(await response.text(), token)
    }
    assert.isFalse(gateway.logged.some((line) => line.includes(token)))
  })
})

describe("an event stream", () => {
  it("ends when its token is revoked", async () => {
    const token = await gateway.grant({ permissions: ["read"] }, "acme")
    gateway.kernel.emitFor("acme", 1)
    const response = await gateway.call("/v1/events", {
      headers: as(token, { accept: "text/event-stream" }),
    })
    const reading = readEvents(response, Number.POSITIVE_INFINITY)
    await gateway.revoke(token)
    gateway.kernel.emitFor("acme", 99)
    const events = await reading
    assert.notInclude(JSON.stringify(events), '"revision":99')
  })

  it("ends when its token expires, silent though it is", async () => {
    const token = await gateway.grant({ permissions: ["read"], ttlSeconds: 60 }, "silent")
    const response = await gateway.call("/v1/events", {
      headers: as(token, { accept: "text/event-stream", "x-tenant-id": "silent" }),
    })
    const reading = readEvents(response, 1)
    gateway.kernel.advance(60_000)
    assert.deepStrictEqual(await reading, [])
  })

  it("ends when the root token is replaced", async () => {
    const response = await gateway.call("/v1/events", {
      headers: { accept: "text/event-stream", "x-tenant-id": "silent" },
    })
    const reading = readEvents(response, 1)
    gateway.kernel.control.rotatable = true
    const rotated = await post("/v1/root-token/rotate", undefined)
    const { token } = (await rotated.json()) as Token
    assert.deepStrictEqual(await reading, [])
    await assertProblem(await gateway.call("/v1/recovery/replay", { method: "POST" }), 401)
    const again = await post("/v1/root-token/rotate", undefined, as(token))
    assert.strictEqual(again.status, 200)
    gateway.kernel.control.rootToken = asRoot.authorization.slice("Bearer ".length)
  })
})
