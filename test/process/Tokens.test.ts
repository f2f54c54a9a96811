/**
 * Tokens granted and revoked over HTTP by many clients while the kernel is killed: what was
 * acknowledged holds after the restart, in both directions (promises 1 and 2).
 */
import { hash } from "node:crypto"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { call, dataDirectory, kernel, type KernelProcess, ready } from "./KernelProcess.ts"

const count = 10_000
const clients = 32
/** Acknowledged grants after which the plug is pulled, in the middle of others. */
const killAfter = 6000
const tenants = ["one", "two", "three"]

/** Sends by itself: so many answers need no headers looked at. */
const send = async (running: KernelProcess, method: string, path: string, init: RequestInit) => {
  const response = await fetch(`${running.url}${path}`, { method, ...init })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const asRoot = (running: KernelProcess, tenant: string) => ({
  authorization: `Bearer ${running.token}`,
  "x-tenant-id": tenant,
  "content-type": "application/json",
})

const grant = (running: KernelProcess, tenant: string, n: number) =>
  send(running, "POST", "/v1/tokens", {
    headers: asRoot(running, tenant),
    body: JSON.stringify({ permissions: ["read"], metadata: { n } }),
  })

const revoke = (running: KernelProcess, tenant: string, token: string) =>
  send(running, "DELETE", `/v1/tokens/${hash("sha256", token)}`, {
    headers: asRoot(running, tenant),
  })

const verify = (running: KernelProcess, token: string) =>
  send(running, "POST", "/v1/tokens/verify", { headers: { authorization: `Bearer ${token}` } })

/** What clients were told. A token whose revocation was not answered may be either. */
interface Told {
  readonly good: Set<string>
  readonly revoked: Set<string>
  readonly unclear: Set<string>
}

/** One client: grants, and revokes every third token at once, until all are made or it fails. */
const client = async (
  running: KernelProcess,
  next: () => number,
  told: Told,
  onGrant: () => void,
) => {
  for (let n = next(); n < count; n = next()) {
    const tenant = tenants[n % tenants.length]!
    const { body, status } = await grant(running, tenant, n)
    assert.strictEqual(status, 201, JSON.stringify(body))
    assert.strictEqual(body["durable"], true)
    const token = String(body["token"])
    told.good.add(token)
    onGrant()
    if (n % 3 !== 0) continue
    told.good.delete(token)
    told.unclear.add(token)
    assert.strictEqual((await revoke(running, tenant, token)).status, 200)
    told.unclear.delete(token)
    told.revoked.add(token)
  }
}

const inParallel = async (tokens: ReadonlySet<string>, use: (token: string) => Promise<void>) => {
  const left = tokens.values()
  const worker = async () => {
    for (const token of left) await use(token)
  }
  await Promise.all(Array.from({ length: clients }, worker))
}

describe("ten thousand tokens", () => {
  it.live(
    "hold what was acknowledged through kill -9 and a restart",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const first = yield* kernel({ dataDir })
        yield* Effect.promise(() => ready(first))
        const told: Told = { good: new Set(), revoked: new Set(), unclear: new Set() }
        let next = 0
        let granted = 0
        const onGrant = () => {
          granted += 1
          if (granted === killAfter) first.signal("SIGKILL")
        }
        const take = () => next++
        yield* Effect.promise(() =>
          Promise.allSettled(
            Array.from({ length: clients }, () => client(first, take, told, onGrant)),
          ),
        )
        yield* Effect.promise(() => first.ended)
        assert.isAtLeast(granted, killAfter)
        assert.isBelow(granted, count)

        const second = yield* kernel({ dataDir })
        yield* Effect.promise(() => ready(second))
        yield* Effect.promise(() =>
          Promise.all(Array.from({ length: clients }, () => client(second, take, told, () => {}))),
        )
        const wrong: Array<string> = []
        yield* Effect.promise(() =>
          inParallel(told.good, async (token) => {
            if ((await verify(second, token)).status !== 200) wrong.push(`lost: ${token.length}`)
          }),
        )
        yield* Effect.promise(() =>
          inParallel(told.revoked, async (token) => {
            if ((await verify(second, token)).status !== 401) wrong.push(`back: ${token.length}`)
          }),
        )
        assert.deepStrictEqual(wrong, [])
        assert.isAtLeast(told.good.size + told.revoked.size, count - 2 * clients)
        assert.isAtMost(told.unclear.size, clients)
        const report = yield* Effect.promise(() =>
          call(second, "POST", "/v1/verification?full=true"),
        )
        assert.strictEqual(report.json.status, "ok", report.text)
      }),
    60_000,
  )
})
