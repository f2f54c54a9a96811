/**
 * What a capability is good for, and that none made from another is wider (promises 2, 6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import {
  attenuate,
  AttenuationRequest,
  type Capability,
  denial,
  grantByRoot,
  grantFrom,
  isExpired,
  type Need,
  Permission,
  TokenHash,
  TokenRequest,
  widening,
} from "../../src/domain/Capability.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"

const minting = (n: number, now = 1000) => ({
  tokenHash: TokenHash.make(n.toString(16).padStart(64, "0")),
  now,
})
const tenant = TenantId.make("a")
const s = ServiceId.make("s")
const grant = (request: TokenRequest) => Result.getOrThrow(grantByRoot(tenant, request, minting(1)))

const permissions = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Permission), { minLength: 1, maxLength: 4 }),
  (list) => [...new Set(list)].filter((permission) => permission !== "root"),
)
const maybe = <A>(arbitrary: Arbitrary.Arbitrary<A>) =>
  Arbitrary.flatMap(Arbitrary.schema(Schema.Boolean), (there) =>
    there ? arbitrary : Arbitrary.Constant(undefined),
  )
const small = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
const request = Arbitrary.all({
  permissions: maybe(permissions),
  serviceId: maybe(Arbitrary.map(small(0, 1), (n) => ServiceId.make(`s${n}`))),
  ttlSeconds: maybe(small(1, 5)),
  rateLimit: maybe(Arbitrary.all({ requests: small(1, 3), perSeconds: small(1, 3) })),
})
const allows = (...asked: Parameters<typeof denial>) => denial(...asked) === undefined
/** Leaves out what is `undefined`, as a decoded request does. */
const present = (terms: object) =>
  Object.fromEntries(Object.entries(terms).filter(([, value]) => value !== undefined)) as never

const needs: ReadonlyArray<Need> = Permission.literals.flatMap((permission) => [
  { permission, on: "tenant" as const },
  { permission, on: "own" as const },
  ...["s0", "s1"].map((id) => ({ permission, on: { serviceId: ServiceId.make(id) } })),
])

describe("Capability", () => {
  it.prop(
    "a chain of attenuations never allows what its origin does not",
    { first: request, steps: Arbitrary.array(request, { maxLength: 6 }) },
    ({ first, steps }) => {
      const start = { ...(present(first) as TokenRequest) }
      if (first.permissions === undefined || first.permissions.length === 0) return true
      let parent: Capability = grant(start)
      for (const [n, step] of steps.entries()) {
        const child = attenuate(parent, present(step), minting(n + 2, 1000 + n * 700))
        if (Result.isFailure(child)) continue
        assert.isUndefined(widening(parent, child.success))
        assert.strictEqual(child.success.tenantId, parent.tenantId)
        for (const now of [0, 1000, 2500, 4000, 6000, 60_000])
          for (const need of needs)
            if (allows(child.success, need, now)) assert.isTrue(allows(parent, need, now))
        parent = child.success
      }
      return true
    },
    { arbitrary: { runs: 500 } },
  )

  it.prop(
    "a granter gives no more than it holds",
    { own: request, given: request },
    ({ own, given }) => {
      if (!own.permissions?.length || !given.permissions?.length) return true
      const granter = grant(present(own))
      const child = grantFrom(granter, present(given), minting(2))
      if (Result.isFailure(child)) return true
      assert.isNull(child.success.parent)
      assert.isUndefined(widening(granter, child.success))
      return true
    },
    { arbitrary: { runs: 300 } },
  )

  const full = grant({
    permissions: ["read", "deploy"],
    serviceId: s,
    ttlSeconds: 60,
    rateLimit: { requests: 10, perSeconds: 10 },
  })
  const wider: ReadonlyArray<readonly [string, AttenuationRequest]> = [
    ["permission", { permissions: ["read", "kill"] }],
    ["permission", { permissions: ["root"] }],
    ["service", { serviceId: ServiceId.make("other") }],
    ["time", { ttlSeconds: 61 }],
    ["rate", { rateLimit: { requests: 11, perSeconds: 11 } }],
    ["rate", { rateLimit: { requests: 5, perSeconds: 1 } }],
  ]
  it.each(wider)("refuses to widen the %s, and says so", (dimension, request) => {
    const refused = Result.getOrThrow(Result.flip(attenuate(full, request, minting(2))))
    assert.strictEqual(refused.dimension, dimension)
    assert.isAbove(refused.message.length, 20)
  })

  it("takes what a damaged row claims for wider, whatever it claims (promises 2, 6)", () => {
    const child = { ...full, tokenHash: minting(2).tokenHash, parent: full.tokenHash }
    assert.isUndefined(widening(full, child))
    const claims: ReadonlyArray<readonly [string, Partial<Capability>]> = [
      ["permission", { permissions: ["read", "kill"] }],
      ["service", { tenantId: TenantId.make("b") }],
      ["service", { serviceId: null }],
      ["time", { expiresAt: null }],
      ["time", { expiresAt: full.expiresAt! + 1 }],
      ["rate", { rateLimit: null }],
      ["rate", { rateLimit: { requests: 11, perSeconds: 20 } }],
      ["rate", { rateLimit: { requests: 10, perSeconds: 9 } }],
    ]
    for (const [dimension, claim] of claims) {
      const refused = widening(full, { ...child, ...claim })
      assert.strictEqual(refused?.dimension, dimension)
      assert.isAbove(refused!.message.length, 20)
    }
    const unbound = grant({ permissions: ["read"] })
    assert.isUndefined(widening(unbound, { ...full, permissions: ["read"] }))
  })

  it("keeps what an attenuation leaves out", () => {
    const child = Result.getOrThrow(attenuate(full, {}, minting(2, 31_000)))
    assert.deepStrictEqual(child, {
      ...full,
      tokenHash: minting(2).tokenHash,
      grantedAt: 31_000,
      grantedBy: full.tokenHash,
      parent: full.tokenHash,
    })
  })

  it("ends at the very millisecond of its time", () => {
    assert.isFalse(isExpired(full, 60_999))
    assert.isTrue(isExpired(full, 61_000))
  })

  it("names the reason for every denial", () => {
    const on = { serviceId: s }
    assert.isUndefined(denial(full, { permission: "read", on }, 0))
    assert.isUndefined(denial(full, { permission: "read", on: "own" }, 0))
    assert.strictEqual(denial(full, { permission: "read", on: "tenant" }, 0), "service")
    const elsewhere = { serviceId: ServiceId.make("t") }
    assert.strictEqual(denial(full, { permission: "read", on: elsewhere }, 0), "service")
    assert.strictEqual(denial(full, { permission: "kill", on }, 0), "permission")
    assert.strictEqual(denial(full, { permission: "read", on }, 61_000), "expired")
    const tenantId = TenantId.make("b")
    assert.strictEqual(denial(full, { permission: "read", on, tenantId }, 0), "tenant")
  })

  it("never grants root", () => {
    const refused = grantByRoot(tenant, { permissions: ["read", "root"] }, minting(1))
    assert.match(Result.getOrThrow(Result.flip(refused)).message, /root/)
  })

  it("names a token by 64 lowercase hexadecimal digits and nothing else (promise 8)", () => {
    const decode = Schema.decodeUnknownResult(TokenHash)
    const digits = "0123456789abcdef".repeat(4)
    assert.isTrue(Result.isSuccess(decode(digits)))
    const bad = [digits.slice(1), `${digits}0`, `x${digits}`, `${digits}\n`, digits.toUpperCase()]
    for (const text of bad) assert.isTrue(Result.isFailure(decode(text)), text)
    const { message } = Result.getOrThrow(Result.flip(decode("x")))
    assert.include(message, "64 lowercase hexadecimal digits")
  })

  it("bounds what may be asked for", () => {
    const decode = Schema.decodeUnknownResult(TokenRequest)
    const bad = [
      {},
      { permissions: [] },
      { permissions: ["read", "read"] },
      { permissions: ["fly"] },
      { permissions: ["read"], ttlSeconds: 0 },
      { permissions: ["read"], ttlSeconds: 1.5 },
      { permissions: ["read"], ttlSeconds: 1e12 },
      { permissions: ["read"], serviceId: "a/b" },
      { permissions: ["read"], rateLimit: { requests: 0, perSeconds: 1 } },
      { permissions: ["read"], metadata: { note: "x".repeat(5000) } },
      { permissions: ["read"], metadata: "text" },
    ]
    for (const value of bad) assert.isTrue(Result.isFailure(decode(value)), String(value))
    const narrower = Schema.decodeUnknownResult(AttenuationRequest)
    for (const value of bad.slice(1)) assert.isTrue(Result.isFailure(narrower(value)))
    assert.isTrue(Result.isSuccess(narrower({})))
    const most = { note: "x".repeat(4096 - '{"note":""}'.length) }
    assert.isTrue(Result.isSuccess(decode({ permissions: ["read"], metadata: most })))
    const more = decode({ permissions: ["read"], metadata: { note: `${most.note}x` } })
    assert.include(Result.getOrThrow(Result.flip(more)).message, "at most 4096 characters")
    const good = { permissions: ["read"], metadata: { a: { b: [1, null] } } }
    assert.isTrue(Result.isSuccess(decode(good)))
  })
})
