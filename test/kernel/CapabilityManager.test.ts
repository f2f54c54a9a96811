/**
 * Tokens granted, presented, narrowed, revoked and restored, while storage works (promises 1, 2, 6, 8).
 */
import { assert, describe, it } from "@effect/vitest"
import type { Clock } from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"

import { type Need, root, TokenHash } from "../../src/domain/Capability.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import type { CapabilityManager, Granted } from "../../src/kernel/capability/CapabilityManager.ts"
import { makeForwardClock } from "../../src/kernel/capability/ForwardClock.ts"
import { sha256 } from "./Sha256.ts"
import { bearer, events, storedTokens, tagOf, withManager } from "./Tokens.ts"
import { newFile, rootSecret } from "./Workbench.ts"

type Manager = CapabilityManager["Service"]

const a = TenantId.make("a")
const b = TenantId.make("b")
const s = ServiceId.make("s")
const read: Need = { permission: "read", on: "tenant" }

describe("CapabilityManager", () => {
  it.effect("grants tokens that hold until their time is over (promises 1, 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const granted = yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const granted = yield* manager.grant(root, a, { permissions: ["read"], ttlSeconds: 60 })
          assert.isTrue(granted.durable)
          assert.match(Redacted.value(granted.token), /^solo_[A-Za-z0-9_-]{43}$/)
          assert.strictEqual(granted.capability.tokenHash, sha256(Redacted.value(granted.token)))
          assert.deepStrictEqual(yield* manager.verify(granted.token, read), bearer(granted))
          return granted
        }),
      )
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          yield* TestClock.adjust(59_999)
          assert.strictEqual(yield* tagOf(manager.verify(granted.token, read)), "ok")
          assert.isDefined(manager.verifyUnsafe(Redacted.value(granted.token), read))
          yield* TestClock.adjust(1)
          const error = yield* Effect.flip(manager.authenticate(granted.token))
          assert.strictEqual(error._tag === "InvalidToken" && error.reason, "expired")
          assert.isUndefined(manager.verifyUnsafe(Redacted.value(granted.token), read))
          assert.deepStrictEqual(yield* manager.list(a, { limit: 10 }), [])
          const { tokenHash } = granted.capability
          assert.strictEqual(yield* tagOf(manager.revoke(root, a, tokenHash)), "TokenNotFound")
        }),
      )
    }),
  )

  it.effect("keeps ten tokens across a restart (5.1)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const tokens = yield* withManager(filename, (manager) =>
        Effect.forEach(Array.from({ length: 10 }), () =>
          manager.grant(root, a, { permissions: ["read"] }),
        ),
      )
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          for (const { token } of tokens)
            assert.strictEqual(yield* tagOf(manager.verify(token, read)), "ok")
          const listed = yield* manager.list(a, { limit: 100 })
          assert.deepStrictEqual(
            listed.map((view) => view.capability.tokenHash as string),
            tokens.map((granted) => granted.capability.tokenHash as string).sort(),
          )
        }),
      )
    }),
  )

  it.live("knows nothing of what nobody granted", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        yield* manager.grant(root, a, { permissions: ["read"] })
        const garbage = ["", "x", "solo_", "x".repeat(1_000_000), "\u0000", "solo_".padEnd(48, "A")]
        for (const text of garbage) {
          const error = yield* Effect.flip(manager.authenticate(Redacted.make(text)))
          assert.strictEqual(error._tag === "InvalidToken" && error.reason, "unknown")
        }
        assert.deepStrictEqual(yield* manager.authenticate(rootSecret), root)
      }),
    ),
  )

  it.live("takes a token back with everything made from it, also after a restart (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const family = yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const parent = yield* manager.grant(root, a, { permissions: ["read", "grant"] })
          const child = yield* manager.attenuate(bearer(parent), { permissions: ["read"] })
          const grandchild = yield* manager.attenuate(bearer(child), {})
          // Granted with the parent, not made from it: it has a life of its own.
          const given = yield* manager.grant(bearer(parent), a, { permissions: ["read"] })
          const { tokenHash } = parent.capability
          assert.strictEqual(yield* manager.revoke(root, a, tokenHash), 3)
          assert.strictEqual(yield* tagOf(manager.revoke(root, a, tokenHash)), "TokenNotFound")
          assert.strictEqual((yield* events("capability_revoked")).length, 1)
          assert.strictEqual(
            yield* tagOf(manager.attenuate(bearer(child), {})),
            "InvalidToken",
            "a revoked token makes no more",
          )
          assert.strictEqual(
            yield* tagOf(manager.grant(bearer(parent), a, { permissions: ["read"] })),
            "InvalidToken",
          )
          return { gone: [parent, child, grandchild], given }
        }),
      )
      const check = (manager: Manager) =>
        Effect.gen(function* () {
          for (const { token } of family.gone)
            assert.strictEqual(yield* tagOf(manager.authenticate(token)), "InvalidToken")
          assert.strictEqual(yield* tagOf(manager.verify(family.given.token, read)), "ok")
        })
      yield* withManager(filename, check)
      assert.strictEqual(storedTokens(filename), 1)
    }),
  )

  it.live("shows nothing of one tenant to another (promise 6)", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const ofA = yield* manager.grant(root, a, { permissions: ["grant", "read"] })
        const ofB = yield* manager.grant(root, b, { permissions: ["grant", "read"] })
        const { tokenHash } = ofA.capability
        const unknown = TokenHash.make(sha256("nobody"))
        assert.strictEqual(yield* tagOf(manager.revoke(bearer(ofB), b, tokenHash)), "TokenNotFound")
        assert.strictEqual(yield* tagOf(manager.revoke(bearer(ofB), b, unknown)), "TokenNotFound")
        assert.strictEqual(
          yield* tagOf(manager.grant(bearer(ofB), a, { permissions: ["read"] })),
          "Forbidden",
        )
        assert.deepStrictEqual(
          (yield* manager.list(b, { limit: 10 })).map((view) => view.capability.tenantId),
          [b],
        )
        const elsewhere = { ...read, tenantId: a }
        const error = yield* Effect.flip(manager.authorize(bearer(ofB), elsewhere))
        assert.strictEqual(error._tag === "Forbidden" && error.reason, "tenant")
        assert.strictEqual(yield* tagOf(manager.verify(ofA.token, read)), "ok")
      }),
    ),
  )

  it.live("a granter gives no more than it has", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const granter = bearer(
          yield* manager.grant(root, a, {
            permissions: ["grant", "read"],
            serviceId: s,
            ttlSeconds: 60,
          }),
        )
        const plain = bearer(yield* manager.grant(root, a, { permissions: ["read"] }))
        const refused = [
          { permissions: ["deploy" as const] },
          { permissions: ["root" as const] },
          { permissions: ["read" as const], serviceId: ServiceId.make("other") },
          { permissions: ["read" as const], ttlSeconds: 61 },
        ]
        for (const request of refused)
          assert.strictEqual(yield* tagOf(manager.grant(granter, a, request)), "WouldWiden")
        assert.strictEqual(
          yield* tagOf(manager.grant(root, a, { permissions: ["root"] })),
          "WouldWiden",
        )
        assert.strictEqual(
          yield* tagOf(manager.grant(plain, a, { permissions: ["read"] })),
          "Forbidden",
        )
        const given = yield* manager.grant(granter, a, { permissions: ["read"] })
        assert.strictEqual(given.capability.serviceId, s)
        assert.isNotNull(given.capability.expiresAt)
        assert.strictEqual(yield* tagOf(manager.attenuate(root, {})), "RootNotAttenuable")
      }),
    ),
  )

  it.effect("limits the rate of a token, and of a family by its eldest", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const rateLimit = { requests: 3, perSeconds: 3 }
        const parent = yield* manager.grant(root, a, { permissions: ["read"], rateLimit })
        const children = yield* Effect.forEach([1, 2], () => manager.attenuate(bearer(parent), {}))
        const slow = yield* manager.attenuate(bearer(parent), {
          rateLimit: { requests: 1, perSeconds: 3 },
        })
        const present = (granted: Granted) => tagOf(manager.authenticate(granted.token))
        assert.strictEqual(yield* present(slow), "ok")
        // What its own limit refuses costs the family nothing.
        for (let i = 0; i < 5; i++) assert.strictEqual(yield* present(slow), "RateExceeded")
        assert.strictEqual(yield* present(children[0]!), "ok")
        assert.strictEqual(yield* present(children[1]!), "ok")
        const error = yield* Effect.flip(manager.authenticate(parent.token))
        assert.isTrue(error._tag === "RateExceeded" && error.retryAfterMs <= 1000)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* present(parent), "ok")
        assert.strictEqual(yield* present(children[0]!), "RateExceeded")
        const other = yield* manager.grant(root, a, { permissions: ["read"] })
        for (let i = 0; i < 100; i++) assert.strictEqual(yield* present(other), "ok")
      }),
    ),
  )

  it.effect("removes expired tokens every hour, or as often as configured", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(
        filename,
        (manager) =>
          Effect.gen(function* () {
            for (const ttlSeconds of [10, 20, 3000])
              yield* manager.grant(root, a, { permissions: ["read"], ttlSeconds })
            yield* TestClock.adjust("59 seconds")
            assert.strictEqual(storedTokens(filename), 3)
            yield* TestClock.adjust("1 seconds")
            yield* Effect.yieldNow
            assert.strictEqual(storedTokens(filename), 1)
            assert.strictEqual(yield* manager.cleanup, 0)
          }),
        { cleanupIntervalMs: 60_000 },
      )
    }),
  )

  it.effect("bounds the tokens of a tenant; expired ones make room", () =>
    withManager(
      newFile(),
      (manager) =>
        Effect.gen(function* () {
          yield* manager.grant(root, a, { permissions: ["read"], ttlSeconds: 1 })
          yield* manager.grant(root, a, { permissions: ["read"] })
          const more = manager.grant(root, a, { permissions: ["read"] })
          assert.strictEqual(yield* tagOf(more), "TooManyTokens")
          yield* manager.grant(root, b, { permissions: ["read"] })
          yield* TestClock.adjust("1 second")
          assert.strictEqual(yield* tagOf(more), "ok")
        }),
      { maxTokensPerTenant: 2 },
    ),
  )

  it.live("bounds how often a token is attenuated", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        let last = yield* manager.grant(root, a, { permissions: ["read"] })
        for (let i = 0; i < 16; i++) last = yield* manager.attenuate(bearer(last), {})
        assert.strictEqual(yield* tagOf(manager.attenuate(bearer(last), {})), "TooDeep")
      }),
    ),
  )

  it.effect("records denials, but not a flood of them", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const { token, capability } = yield* manager.grant(root, a, { permissions: ["read"] })
          const kill: Need = { permission: "kill", on: "tenant" }
          for (let i = 0; i < 1000; i++) {
            yield* tagOf(manager.verify(token, kill))
            yield* tagOf(manager.authenticate(Redacted.make(`guess ${i}`)))
          }
          yield* TestClock.adjust("1 minute")
          yield* tagOf(manager.verify(token, kill))
          yield* TestClock.adjust("1 second")
          const own = (yield* events("capability_denied")).filter((event) => event.tenantId === a)
          assert.strictEqual(own.length, 31)
          const last = own.at(-1)!
          assert.isTrue(last.type === "capability_denied" && last.payload.unrecorded === 970)
          assert.strictEqual(last.actor, capability.tokenHash)
          assert.strictEqual((yield* events("capability_denied")).length, 61)
        }),
      )
    }),
  )

  it.live("counts what it does", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const { token } = yield* manager.grant(root, a, { permissions: ["read"] })
        for (let i = 0; i < 5; i++) yield* manager.verify(token, read)
        yield* tagOf(manager.verify(token, { permission: "kill", on: "tenant" }))
        const checks = (yield* Metric.snapshot).filter(
          (metric) => metric.id === "solo_token_checks_total",
        )
        const count = (outcome: string) =>
          checks.find((metric) => metric.attributes?.["outcome"] === outcome)?.state
        assert.deepStrictEqual(count("accepted"), { count: 5, incremental: true })
        assert.deepStrictEqual(count("permission"), { count: 1, incremental: true })
      }),
    ),
  )

  it.live("replaces the root token for root alone", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const granted = yield* manager.grant(root, a, { permissions: ["grant", "deploy"] })
        assert.strictEqual(yield* tagOf(manager.rotateRoot(bearer(granted))), "Forbidden")
        const next = yield* manager.rotateRoot(root)
        assert.strictEqual(yield* tagOf(manager.authenticate(rootSecret)), "InvalidToken")
        assert.deepStrictEqual(yield* manager.authenticate(next), root)
        assert.strictEqual((yield* events("root_token_rotated")).length, 1)
      }),
    ),
  )

  it.effect("an expired token stays so when the clock is set back, and over a restart", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* TestClock.setTime(1_000_000)
      const { token } = yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const granted = yield* manager.grant(root, a, { permissions: ["read"], ttlSeconds: 10 })
          yield* TestClock.adjust("11 seconds")
          yield* manager.grant(root, a, { permissions: ["read"] })
          return granted
        }),
      )
      yield* TestClock.setTime(1_000_000)
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* tagOf(manager.authenticate(token)), "InvalidToken")
        }),
      )
    }),
  )

  it("a clock set back goes on from where it was", () => {
    let wall = 1000
    let monotonic = 0n
    const clock = makeForwardClock(
      {
        currentTimeMillisUnsafe: () => wall,
        monotonicTimeNanosUnsafe: () => monotonic,
      } as unknown as Clock,
      500,
    )
    assert.strictEqual(clock.currentTimeMillisUnsafe(), 1000)
    wall = 10
    assert.strictEqual(clock.currentTimeMillisUnsafe(), 1000)
    monotonic += 5_500_000n
    assert.strictEqual(clock.currentTimeMillisUnsafe(), 1005)
    monotonic += 500_000n
    assert.strictEqual(clock.currentTimeMillisUnsafe(), 1006)
    wall = 2000
    assert.strictEqual(clock.currentTimeMillisUnsafe(), 2000)
  })
})
