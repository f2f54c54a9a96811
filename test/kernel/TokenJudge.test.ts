/**
 * Judging tokens: who is let in, how often, what is recorded when one is not (promises 2, 6, 8).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/testing/TestClock"

import { type Need, root } from "../../src/domain/Capability.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { makeForwardClock } from "../../src/kernel/capability/ForwardClock.ts"
import { bearer, events, tagOf, withManager } from "./Tokens.ts"
import { newFile, outside } from "./Workbench.ts"

const a = TenantId.make("a")
const b = TenantId.make("b")
const read: Need = { permission: "read", on: "tenant" }
const kill: Need = { permission: "kill", on: "tenant" }

/** The state of a counter. */
const count = (id: string, outcome?: string) =>
  Effect.map(
    Metric.snapshot,
    (all) =>
      all.find((metric) => metric.id === id && metric.attributes?.["outcome"] === outcome)?.state,
  )

describe("judging tokens", () => {
  it.effect("records every kind of denial with who was denied what", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const grant = (terms: object = {}) =>
          manager.grant(root, a, { permissions: ["read"], ...terms })
        const plain = yield* grant()
        const bound = yield* grant({ serviceId: ServiceId.make("s") })
        const short = yield* grant({ ttlSeconds: 1 })
        const rare = yield* grant({ rateLimit: { requests: 1, perSeconds: 60 } })
        const revoked = yield* grant()
        yield* manager.revoke(root, a, revoked.capability.tokenHash)
        yield* TestClock.adjust("1 second")
        yield* manager.authenticate(rare.token)
        const denied = [
          [null, "unknown", null, manager.authenticate(Redacted.make("nobody's"))],
          [short, "expired", null, manager.authenticate(short.token)],
          [rare, "rate", null, manager.authenticate(rare.token)],
          [plain, "permission", "kill", manager.verify(plain.token, kill)],
          [bound, "service", "read", manager.verify(bound.token, read)],
          [plain, "tenant", "read", manager.verify(plain.token, { ...read, tenantId: b })],
          // Presented when it still was good.
          [short, "expired", "read", manager.authorize(bearer(short), read)],
          [revoked, "unknown", "read", manager.authorize(bearer(revoked), read)],
        ] as const
        const tags: Array<string> = []
        for (const [, , , judgement] of denied) tags.push(yield* tagOf(judgement))
        assert.deepStrictEqual(tags, [
          "InvalidToken",
          "InvalidToken",
          "RateExceeded",
          "Forbidden",
          "Forbidden",
          "Forbidden",
          "InvalidToken",
          "InvalidToken",
        ])
        yield* manager.flush
        const recorded = yield* events("capability_denied")
        assert.deepStrictEqual(
          recorded.map(({ actor, payload, tenantId }) => ({ actor, payload, tenantId })),
          denied.map(([granted, reason, permission]) => {
            const tokenHash = granted?.capability.tokenHash ?? null
            return {
              actor: tokenHash,
              payload: { tokenHash, reason, permission, unrecorded: 0 },
              tenantId: granted === null ? null : a,
            }
          }) as never,
        )
        const error = yield* Effect.flip(manager.authorize(bearer(short), read))
        assert.strictEqual(error._tag === "InvalidToken" && error.reason, "expired")
        for (const [outcome, times] of [
          ["unknown", 2],
          ["expired", 3],
          ["rate", 1],
          ["permission", 1],
          ["service", 1],
          ["tenant", 1],
          ["accepted", 0],
        ] as const)
          assert.deepStrictEqual(yield* count("solo_token_checks_total", outcome), {
            count: times,
            incremental: true,
          })
      }),
    ),
  )

  it.effect("one tenant's flood of denials does not hide another's (promise 6)", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const ofA = yield* manager.grant(root, a, { permissions: ["read"] })
        const ofB = yield* manager.grant(root, b, { permissions: ["read"] })
        for (let n = 0; n < 100; n++) yield* tagOf(manager.verify(ofA.token, kill))
        yield* tagOf(manager.verify(ofB.token, kill))
        yield* manager.flush
        const denials = yield* events("capability_denied")
        assert.strictEqual(denials.filter((event) => event.tenantId === a).length, 30)
        assert.strictEqual(denials.filter((event) => event.tenantId === b).length, 1)
      }),
    ),
  )

  it.effect("the root token may do everything, everywhere", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        yield* manager.authorize(root, { permission: "root", on: "tenant" })
        yield* manager.authorize(root, { permission: "deploy", on: "own", tenantId: b })
        assert.deepStrictEqual(yield* count("solo_token_checks_total", "accepted"), {
          count: 2,
          incremental: true,
        })
      }),
    ),
  )

  it.effect("its counters end with it", () =>
    Effect.gen(function* () {
      yield* withManager(newFile(), () => Effect.void)
      assert.isUndefined(yield* count("solo_token_checks_total", "accepted"))
    }),
  )

  it.effect("a slower limit than the parent's holds beside it, and says when to come again", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const parent = yield* manager.grant(root, a, {
          permissions: ["read"],
          rateLimit: { requests: 2, perSeconds: 2 },
        })
        const slower = yield* manager.attenuate(bearer(parent), {
          rateLimit: { requests: 2, perSeconds: 20 },
        })
        const fewer = yield* manager.attenuate(bearer(parent), {
          rateLimit: { requests: 1, perSeconds: 2 },
        })
        const retryAfter = (granted: typeof parent) =>
          Effect.map(Effect.flip(manager.authenticate(granted.token)), (error) =>
            error._tag === "RateExceeded" ? error.retryAfterMs : error._tag,
          )
        yield* manager.authenticate(slower.token)
        yield* manager.authenticate(slower.token)
        assert.strictEqual(yield* retryAfter(parent), 1000)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* retryAfter(slower), 8000)
        yield* manager.authenticate(fewer.token)
        assert.strictEqual(yield* retryAfter(fewer), 2000)
        yield* manager.authenticate(parent.token)
      }),
    ),
  )

  it.effect("what the family has no room for costs a child with the family's limit nothing", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const rateLimit = { requests: 2, perSeconds: 2 }
        const parent = yield* manager.grant(root, a, { permissions: ["read"], rateLimit })
        const child = yield* manager.attenuate(bearer(parent), {})
        yield* manager.authenticate(parent.token)
        yield* manager.authenticate(parent.token)
        yield* TestClock.adjust("900 millis")
        for (let n = 0; n < 3; n++)
          assert.strictEqual(yield* tagOf(manager.authenticate(child.token)), "RateExceeded")
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(yield* tagOf(manager.authenticate(child.token)), "ok")
      }),
    ),
  )

  it.effect("what is presented for the first time by many at once is counted once each", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const { token } = yield* manager.grant(root, a, {
          permissions: ["read"],
          rateLimit: { requests: 2, perSeconds: 60 },
        })
        const tags = yield* Effect.replicateEffect(tagOf(manager.authenticate(token)), 4, {
          concurrency: "unbounded",
        }).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, 8))
        assert.deepStrictEqual(tags.toSorted(), ["RateExceeded", "RateExceeded", "ok", "ok"])
      }),
    ),
  )

  it.effect("a machine whose clock is a minute behind the log is told of", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const said: Array<string> = []
      const logger = Logger.make(
        ({ logLevel, message }) => void said.push(`${logLevel} ${message}`),
      )
      const open = withManager(filename, (manager) =>
        manager.grant(root, a, { permissions: ["read"] }),
      ).pipe(Effect.provide(Logger.layer([logger])))
      const warnings = () => said.filter((line) => /Warn.*clock/.test(line)).length
      yield* TestClock.setTime(10_000_000)
      yield* open
      yield* TestClock.setTime(10_000_000 - 60_000)
      yield* open
      assert.strictEqual(warnings(), 0)
      yield* TestClock.setTime(10_000_000)
      yield* open
      yield* TestClock.setTime(10_000_000 - 60_001)
      yield* open
      assert.strictEqual(warnings(), 1)
    }),
  )

  it.effect("an expired token stays so whatever is logged after the clock was set back", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const expired = (token: Redacted.Redacted<string>) =>
        withManager(filename, (manager) =>
          Effect.gen(function* () {
            assert.strictEqual(yield* tagOf(manager.authenticate(token)), "InvalidToken")
            yield* manager.grant(root, a, { permissions: ["read"] })
          }),
        )
      yield* TestClock.setTime(1_000_000)
      const { token } = yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const granted = yield* manager.grant(root, a, { permissions: ["read"], ttlSeconds: 10 })
          yield* TestClock.adjust("11 seconds")
          yield* manager.grant(root, a, { permissions: ["read"] })
          yield* TestClock.setTime(1_000_000)
          yield* manager.grant(root, a, { permissions: ["read"] })
          return granted
        }),
      )
      yield* expired(token)
      yield* expired(token)
    }),
  )

  it.effect("an expired token stays so when the time of an event is damaged (promise 4)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const { token } = yield* withManager(filename, (manager) =>
        manager.grant(root, a, { permissions: ["read"], ttlSeconds: 10 }),
      )
      outside(filename, (db) => db.exec("UPDATE events SET time = 'nonsense'"))
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(yield* tagOf(manager.authenticate(token)), "InvalidToken")
        }),
      )
    }),
  )

  it.effect("a clock that only goes forward is a whole clock", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1000)
      const clock = makeForwardClock(yield* Clock.Clock, 5000)
      assert.strictEqual(yield* clock.currentTimeMillis, 5000)
      assert.strictEqual(clock.currentTimeNanosUnsafe(), 5_000_000_000n)
      assert.strictEqual(yield* clock.currentTimeNanos, 5_000_000_000n)
      const before = clock.monotonicTimeNanosUnsafe()
      const sleeping = yield* Effect.forkChild(clock.sleep(Duration.millis(10)), {
        startImmediately: true,
      })
      yield* TestClock.adjust(10)
      yield* Fiber.join(sleeping)
      assert.strictEqual(clock.monotonicTimeNanosUnsafe() - before, 10_000_000n)
      assert.strictEqual(yield* clock.monotonicTimeNanos, clock.monotonicTimeNanosUnsafe())
    }),
  )
})
