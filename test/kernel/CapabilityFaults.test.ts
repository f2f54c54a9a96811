/**
 * Tokens while storage fails: what still works, what says so, and what must not be lost or come
 * back.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"

import { type Need, root } from "../../src/domain/Capability.ts"
import { draft } from "../../src/domain/Event.ts"
import { TenantId } from "../../src/domain/Identifier.ts"
import type { Granted } from "../../src/kernel/capability/CapabilityManager.ts"
import { maxUnstored } from "../../src/kernel/capability/UnstoredTokens.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { settle } from "./harness/Machine.ts"
import { bearer, events, storedTokens, tagOf, withManager } from "./Tokens.ts"
import { lockOut, newFile, outside } from "./Workbench.ts"

const a = TenantId.make("a")
const read: Need = { permission: "read", on: "tenant" }

/** What the metrics say of tokens that are not stored. */
const unstored = Effect.map(Metric.snapshot, (all) => {
  const state = all.find(({ id }) => id === "solo_tokens_unstored")?.state
  return (state as { readonly value: number } | undefined)?.value
})

describe("CapabilityManager without storage", () => {
  it.effect("grants in memory while storage fails, and stores later (5.3)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const tokens = yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const unlock = lockOut(filename)
          const parent = yield* manager.grant(root, a, { permissions: ["read"] })
          assert.isFalse(parent.durable)
          assert.strictEqual(yield* tagOf(manager.verify(parent.token, read)), "ok")
          const child = yield* manager.attenuate(bearer(parent), {})
          assert.isFalse(child.durable)
          yield* TestClock.adjust("5 seconds")
          assert.deepStrictEqual(
            (yield* manager.list(a, { limit: 10 })).map((view) => view.durable),
            [false, false],
          )
          unlock()
          // The child of a token that still waits does not overtake it.
          assert.isFalse((yield* manager.attenuate(bearer(child), {})).durable)
          yield* TestClock.adjust("1 minute")
          yield* Effect.yieldNow
          assert.deepStrictEqual(
            (yield* manager.list(a, { limit: 10 })).map((view) => view.durable),
            [true, true, true],
          )
          assert.strictEqual((yield* events("capability_granted")).length, 3)
          return [parent, child]
        }),
      )
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          for (const { token } of tokens)
            assert.strictEqual(yield* tagOf(manager.verify(token, read)), "ok")
        }),
      )
    }),
  )

  it.effect("revoking what waits to be stored makes sure that it never is (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const unlock = lockOut(filename)
          const early = yield* manager.grant(root, a, { permissions: ["read"] })
          const late = yield* manager.grant(root, a, { permissions: ["read"] })
          const child = yield* manager.attenuate(bearer(late), {})
          // Nothing of it is on disk: it can be revoked although storage fails.
          assert.strictEqual(yield* manager.revoke(root, a, early.capability.tokenHash), 1)
          unlock()
          assert.strictEqual(yield* manager.revoke(root, a, late.capability.tokenHash), 2)
          yield* TestClock.adjust("10 minutes")
          for (const { token } of [early, late, child])
            assert.strictEqual(yield* tagOf(manager.authenticate(token)), "InvalidToken")
          yield* manager.flush
        }),
      )
      assert.strictEqual(storedTokens(filename), 0)
    }),
  )

  it.live("a revocation that cannot be stored fails, and the token stays as it was", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const token = yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const granted = yield* manager.grant(root, a, { permissions: ["read"] })
          const { tokenHash } = granted.capability
          const unlock = lockOut(filename)
          const child = yield* manager.attenuate(bearer(granted), {})
          assert.isFalse(child.durable)
          assert.strictEqual(yield* tagOf(manager.revoke(root, a, tokenHash)), "StorageError")
          for (const { token } of [granted, child])
            assert.strictEqual(yield* tagOf(manager.verify(token, read)), "ok")
          unlock()
          assert.strictEqual(yield* manager.revoke(root, a, tokenHash), 2)
          return granted.token
        }),
      )
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* tagOf(manager.authenticate(token)), "InvalidToken")
        }),
      )
    }),
  )

  it.live("flush fails while a token cannot be stored", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const unlock = lockOut(filename)
          yield* manager.grant(root, a, { permissions: ["read"] })
          assert.strictEqual(yield* tagOf(manager.flush), "StorageError")
          unlock()
          assert.strictEqual(yield* tagOf(manager.flush), "ok")
          assert.strictEqual(storedTokens(filename), 1)
        }),
      )
    }),
  )

  it.live("says how many tokens are in memory only, and 0 while storage works", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const grant = manager.grant(root, a, { permissions: ["read"] })
          yield* grant
          assert.strictEqual(yield* unstored, 0)
          const unlock = lockOut(filename)
          const { capability } = yield* grant
          yield* grant
          assert.strictEqual(yield* unstored, 2)
          yield* manager.revoke(root, a, capability.tokenHash)
          assert.strictEqual(yield* unstored, 1)
          unlock()
          yield* manager.flush
          assert.strictEqual(yield* unstored, 0)
        }),
      )
    }),
  )

  it.live("revocation and attenuation at the same time leave no orphan (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const granted: Array<Granted> = []
      yield* withManager(filename, (manager) =>
        Effect.forEach(
          Array.from({ length: 50 }),
          () =>
            Effect.gen(function* () {
              const parent = yield* manager.grant(root, a, { permissions: ["read"] })
              granted.push(parent)
              const attenuation = Effect.map(
                Effect.exit(manager.attenuate(bearer(parent), {})),
                (exit) => Exit.isSuccess(exit) && granted.push(exit.value),
              )
              const revocation = manager.revoke(root, a, parent.capability.tokenHash)
              yield* Effect.all([attenuation, revocation, attenuation, attenuation], {
                concurrency: "unbounded",
              })
              for (const { token } of granted.slice(-1))
                assert.strictEqual(yield* tagOf(manager.authenticate(token)), "InvalidToken")
            }),
          { concurrency: 10 },
        ),
      )
      assert.strictEqual(storedTokens(filename), 0)
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          for (const { token } of granted)
            assert.strictEqual(yield* tagOf(manager.authenticate(token)), "InvalidToken")
        }),
      )
    }),
  )

  it.live("where a token may have reached the disk, revoking it must reach it too", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          // A failure of unknown kind: whether anything was written cannot be told.
          outside(filename, (db) =>
            db.exec(`CREATE TRIGGER fault BEFORE INSERT ON events
                     BEGIN SELECT RAISE(FAIL, 'x'); END`),
          )
          const granted = yield* manager.grant(root, a, { permissions: ["read"] })
          assert.isFalse(granted.durable)
          const { tokenHash } = granted.capability
          assert.strictEqual(yield* tagOf(manager.revoke(root, a, tokenHash)), "StorageError")
          assert.strictEqual(yield* tagOf(manager.verify(granted.token, read)), "ok")
          outside(filename, (db) => db.exec("DROP TRIGGER fault"))
          assert.strictEqual(yield* tagOf(manager.revoke(root, a, tokenHash)), "ok")
        }),
      )
      assert.strictEqual(storedTokens(filename), 0)
    }),
  )

  it.effect("where it may have reached the disk later, revoking it must reach it too", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const unlock = lockOut(filename)
          const { capability } = yield* manager.grant(root, a, { permissions: ["read"] })
          unlock()
          // It certainly was not written at first; of the second try nothing is certain.
          outside(filename, (db) =>
            db.exec(`CREATE TRIGGER fault BEFORE INSERT ON events
                     BEGIN SELECT RAISE(FAIL, 'x'); END`),
          )
          yield* TestClock.adjust("1 second")
          yield* settle
          assert.strictEqual(
            yield* tagOf(manager.revoke(root, a, capability.tokenHash)),
            "StorageError",
          )
          outside(filename, (db) => db.exec("DROP TRIGGER fault"))
          assert.strictEqual(yield* manager.revoke(root, a, capability.tokenHash), 1)
        }),
      )
      assert.strictEqual(storedTokens(filename), 0)
    }),
  )

  it.effect("tries again soon at first, then less and less often", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient
        yield* sql`CREATE TRIGGER fault BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'x'); END`
        yield* manager.grant(root, a, { permissions: ["read"] })
        const isStored = Effect.map(manager.list(a, { limit: 1 }), ([view]) => view?.durable)
        // Tries after 250, 750 and 1750 ms.
        yield* TestClock.adjust(1749)
        yield* settle
        yield* sql`DROP TRIGGER fault`
        yield* settle
        assert.isFalse(yield* isStored)
        yield* TestClock.adjust(1)
        yield* settle
        assert.isTrue(yield* isStored)
      }),
    ),
  )

  it.effect("a token that waits dies with its parent, whoever removed that (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(filename, (manager) =>
        Effect.gen(function* () {
          const parent = yield* manager.grant(root, a, { permissions: ["read"] })
          const unlock = lockOut(filename)
          const child = yield* manager.attenuate(bearer(parent), {})
          const other = yield* manager.grant(root, a, { permissions: ["read"] })
          assert.isFalse(child.durable)
          unlock()
          outside(filename, (db) => db.exec("DELETE FROM tokens"))
          yield* manager.flush
          assert.strictEqual(yield* tagOf(manager.authenticate(child.token)), "InvalidToken")
          assert.strictEqual(yield* tagOf(manager.authenticate(other.token)), "ok")
          // And none is made from it any more.
          const error = yield* Effect.flip(manager.attenuate(bearer(parent), {}))
          assert.strictEqual(error._tag === "InvalidToken" && error.reason, "unknown")
        }),
      )
      assert.strictEqual(storedTokens(filename), 1)
    }),
  )

  it.effect("a log with no room for more appends is no reason to refuse a token", () =>
    withManager(newFile(), (manager) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const released = yield* Deferred.make<void>()
        const event = draft("system_shutdown_started", { reason: "" })
        const append = (attachment?: Effect.Effect<void>) =>
          Effect.forkChild(Effect.exit(store.append([event], attachment)))
        yield* append(Deferred.await(released))
        yield* settle
        yield* Effect.forEach(Array.from({ length: 8192 }), () => append(), { discard: true })
        yield* settle
        const granted = yield* manager.grant(root, a, { permissions: ["read"] })
        assert.isFalse(granted.durable)
        yield* Deferred.succeed(released, undefined)
        yield* TestClock.adjust("1 second")
        yield* settle
        yield* manager.flush
        assert.isTrue((yield* manager.list(a, { limit: 1 }))[0]?.durable)
      }),
    ),
  )

  it.effect("a cleanup that fails is tried again at the next turn", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* withManager(
        filename,
        (manager) =>
          Effect.gen(function* () {
            yield* manager.grant(root, a, { permissions: ["read"], ttlSeconds: 1 })
            const unlock = lockOut(filename)
            yield* TestClock.adjust("1 minute")
            yield* settle
            unlock()
            assert.strictEqual(storedTokens(filename), 1)
            yield* TestClock.adjust("1 minute")
            yield* settle
            assert.strictEqual(storedTokens(filename), 0)
          }),
        { cleanupIntervalMs: 60_000 },
      )
    }),
  )

  it.live(
    "bounds the tokens that wait",
    () =>
      Effect.gen(function* () {
        const filename = newFile()
        yield* withManager(filename, (manager) =>
          Effect.gen(function* () {
            const unlock = lockOut(filename)
            const grant = manager.grant(root, a, { permissions: ["read"] })
            const granted = yield* Effect.all(
              Array.from({ length: maxUnstored }, () => grant),
              { concurrency: "unbounded" },
            )
            assert.isFalse(granted.some(({ durable }) => durable))
            assert.strictEqual(yield* tagOf(grant), "TooManyUnstored")
            unlock()
            yield* manager.flush
          }),
        )
        assert.strictEqual(storedTokens(filename), maxUnstored)
      }),
    60_000,
  )
})
