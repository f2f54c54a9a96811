/**
 * Tokens granted and revoked over HTTP by many clients while the kernel is killed: what was
 * acknowledged holds after the restart, in both directions (promises 1 and 2).
 */
import { hash } from "node:crypto"
import { Agent, request } from "node:http"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { call, dataDirectory, kernel, type KernelProcess, ready } from "./KernelProcess.ts"

const count = 10_000
const clients = 32
/** Acknowledged grants after which the plug is pulled, in the middle of others. */
const killAfter = 6000
const tenants = ["one", "two", "three"]

const agent = new Agent({ keepAlive: true, maxSockets: clients })

/** Sends by itself: `fetch` alone would take most of the test's time. */
const send = (
  running: KernelProcess,
  method: string,
  path: string,
  { body, headers }: { readonly headers: Record<string, string>; readonly body?: string },
) =>
  new Promise<{ readonly status: number; readonly body: Record<string, unknown> }>(
    (resolve, reject) => {
      const sent = request(`${running.url}${path}`, { agent, method, headers }, (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("data", (chunk: string) => (text += chunk))
        response.on("error", reject)
        response.on("aborted", () => reject(new Error("aborted")))
        response.on("end", () =>
          resolve({
            status: response.statusCode!,
            body: JSON.parse(text) as Record<string, unknown>,
          }),
        )
      })
      sent.on("error", reject)
      sent.end(body)
    },
  )

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

/** The hashes of all tokens that the kernel lists, in all tenants. */
const listed = async (running: KernelProcess): Promise<ReadonlySet<string>> => {
  const found = new Set<string>()
  for (const tenant of tenants) {
    let next: string | null = ""
    while (next !== null) {
      const query: string = next === "" ? "" : `&cursor=${next}`
      const page = await call(running, "GET", `/v1/tokens?limit=1000${query}`, { tenant })
      for (const { durable, tokenHash } of page.json.items) if (durable) found.add(tokenHash)
      next = page.json.next
    }
  }
  return found
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

        const before = { good: new Set(told.good), revoked: new Set(told.revoked) }
        const second = yield* kernel({ dataDir })
        yield* Effect.promise(() => ready(second))
        yield* Effect.promise(() =>
          Promise.all(Array.from({ length: clients }, () => client(second, take, told, () => {}))),
        )
        const there = yield* Effect.promise(() => listed(second))
        const wrong = [
          ...[...told.good].filter((token) => !there.has(hash("sha256", token))),
          ...[...told.revoked].filter((token) => there.has(hash("sha256", token))),
        ]
        // Those that the killed kernel told about are presented as well.
        yield* Effect.promise(() =>
          inParallel(before.good, async (token) => {
            if ((await verify(second, token)).status !== 200) wrong.push(token)
          }),
        )
        yield* Effect.promise(() =>
          inParallel(before.revoked, async (token) => {
            if ((await verify(second, token)).status !== 401) wrong.push(token)
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
    180_000,
  )
})
