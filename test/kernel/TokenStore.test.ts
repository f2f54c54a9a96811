/**
 * Token rows and their events: together on disk or not at all (promises 1, 2, 8).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"

import { type Capability, TokenHash } from "../../src/domain/Capability.ts"
import { TenantId } from "../../src/domain/Identifier.ts"
import { TokenStore } from "../../src/kernel/capability/TokenStore.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import type { StorageError } from "../../src/kernel/log/Storage.ts"
import { sha256 } from "./Sha256.ts"
import { capability, layerTokens, lockOut, newFile, outside } from "./Workbench.ts"

const hashes = (tokens: ReadonlyArray<Capability>) => tokens.map((token) => token.tokenHash).sort()

/** Opens the store on `filename`, runs, and closes it again. */
const session = <A, E>(
  filename: string,
  run: (store: TokenStore["Service"]) => Effect.Effect<A, E, EventStore>,
) => Effect.flatMap(TokenStore, run).pipe(Effect.provide(layerTokens(filename)))

const storeAll = (tokens: ReadonlyArray<Capability>) => (store: TokenStore["Service"]) =>
  Effect.forEach(tokens, store.storeToken, { concurrency: "unbounded", discard: true })

describe("TokenStore", () => {
  it.live("2.7.1 stores a token and reads it back as it was (promises 1, 8)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const token = capability("one", {
        permissions: ["deploy", "read"],
        expiresAt: 10,
        rateLimit: { requests: 5, perSeconds: 1 },
        metadata: { purpose: "test", nested: { n: [1] } },
      })
      yield* session(filename, (store) =>
        Effect.gen(function* () {
          yield* store.storeToken(token)
          assert.isTrue(yield* store.tokenExists(token.tokenHash))
          const { tokens } = yield* store.restoreAllTokens(0)
          assert.deepStrictEqual(tokens, [token])
        }),
      )
      const row = outside(filename, (db) => db.prepare("SELECT * FROM tokens").get())
      assert.strictEqual(row?.["token_hash"], sha256("one"))
      assert.strictEqual(row?.["tenant_id"], "a")
    }),
  )

  it.live("2.7.2 restores tokens after a restart (promise 1)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const tokens = [capability("one"), capability("two")]
      yield* session(filename, storeAll(tokens))
      const restored = yield* session(filename, (store) => store.restoreAllTokens(0))
      assert.deepStrictEqual(hashes(restored.tokens), hashes(tokens))
      assert.strictEqual(restored.unreadable, 0)
    }),
  )

  it.live("2.7.3 does not restore an expired token (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(
        filename,
        storeAll([
          capability("over", { expiresAt: 99 }),
          capability("now", { expiresAt: 100 }),
          capability("later", { expiresAt: 101 }),
        ]),
      )
      const restored = yield* session(filename, (store) => store.restoreAllTokens(100))
      assert.deepStrictEqual(hashes(restored.tokens), [sha256("later")])
      assert.strictEqual(restored.expired, 2)
    }),
  )

  it.live("2.7.4 revokes a token and its descendants, row and event together (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const parent = capability("parent")
      const child = capability("child", { parent: parent.tokenHash })
      const grandchild = capability("grandchild", { parent: child.tokenHash })
      const other = capability("other")
      yield* session(filename, (store) =>
        Effect.gen(function* () {
          for (const token of [parent, child, grandchild, other]) yield* store.storeToken(token)
          yield* store.revokeToken({
            tokenHash: parent.tokenHash,
            tenantId: parent.tenantId,
            actor: "root",
            descendants: 2,
          })
          for (const token of [parent, child, grandchild])
            assert.isFalse(yield* store.tokenExists(token.tokenHash))
          const events = yield* EventStore.use((events) => Stream.runCollect(events.stream()))
          assert.deepStrictEqual(
            Array.from(events, (event) => event.type),
            [...Array.from({ length: 4 }, () => "capability_granted"), "capability_revoked"],
          )
        }),
      )
      const restored = yield* session(filename, (store) => store.restoreAllTokens(0))
      assert.deepStrictEqual(hashes(restored.tokens), [other.tokenHash])
    }),
  )

  it.live("2.7.5 keeps tenants apart (promise 6)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const tenants = ["a", "b", "c"].map((name) => TenantId.make(name))
      const tokens = tenants.flatMap((tenantId) =>
        [1, 2].map((n) => capability(`${tenantId}${n}`, { tenantId })),
      )
      yield* session(filename, storeAll(tokens))
      const restored = yield* session(filename, (store) => store.restoreAllTokens(0))
      for (const tenantId of tenants) {
        assert.deepStrictEqual(
          hashes(restored.tokens.filter((token) => token.tenantId === tenantId)),
          [sha256(`${tenantId}1`), sha256(`${tenantId}2`)].sort(),
        )
      }
    }),
  )

  it.live("2.7.6 keeps the index by tenant in step with the rows", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const tenantId = TenantId.make("b")
      const tokens = Array.from({ length: 5 }, (_, n) => capability(`b${n}`, { tenantId }))
      yield* session(filename, (store) =>
        Effect.gen(function* () {
          yield* storeAll([...tokens, capability("a")])(store)
          const expected = hashes(tokens)
          const [first, second] = [expected[0]!, expected[1]!]
          assert.deepStrictEqual(yield* store.tokensOf(tenantId, { limit: 10 }), expected)
          assert.deepStrictEqual(yield* store.tokensOf(tenantId, { after: first, limit: 2 }), [
            second,
            expected[2]!,
          ])
          yield* store.revokeToken({ tokenHash: second, tenantId, actor: "root", descendants: 0 })
          assert.deepStrictEqual(
            yield* store.tokensOf(tenantId, { limit: 10 }),
            expected.filter((hash) => hash !== second),
          )
        }),
      )
      const plan = outside(filename, (db) =>
        db.prepare("EXPLAIN QUERY PLAN SELECT token_hash FROM tokens WHERE tenant_id = 'b'").all(),
      )
      assert.include(String(plan[0]?.["detail"]), "tokens_by_tenant")
    }),
  )

  it.live("2.7.7 restores 1000 tokens, families included", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const parents = Array.from({ length: 500 }, (_, n) => capability(`p${n}`))
      const children = parents.map((parent, n) => capability(`c${n}`, { parent: parent.tokenHash }))
      yield* session(filename, (store) =>
        Effect.andThen(storeAll(parents)(store), storeAll(children)(store)),
      )
      const restored = yield* session(filename, (store) => store.restoreAllTokens(0))
      assert.deepStrictEqual(hashes(restored.tokens), hashes([...parents, ...children]))
      const seen = new Set<string>()
      for (const token of restored.tokens) {
        assert.isTrue(token.parent === null || seen.has(token.parent), "parents come first")
        seen.add(token.tokenHash)
      }
    }),
  )

  it.live("2.7.8 removes exactly the expired rows", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const mixed = Array.from({ length: 2500 }, (_, n) =>
        capability(`t${n}`, { expiresAt: n % 2 === 0 ? 50 : n % 4 === 1 ? 51 : null }),
      )
      yield* session(filename, (store) =>
        Effect.gen(function* () {
          yield* storeAll(mixed)(store)
          assert.strictEqual(yield* store.cleanupExpired(50), 1250)
          assert.strictEqual(yield* store.cleanupExpired(50), 0)
          const restored = yield* store.restoreAllTokens(0)
          assert.deepStrictEqual(
            hashes(restored.tokens),
            hashes(mixed.filter((token) => token.expiresAt !== 50)),
          )
        }),
      )
    }),
  )

  it.live("2.7.9 skips damaged rows with a warning and restores the others (promise 4)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const good = capability("good")
      const damage = {
        json: "permissions = '[\"read\"'",
        permission: "permissions = '[\"fly\"]'",
        none: "permissions = '[]'",
        tenant: "tenant_id = '../etc'",
        rate: 'rate_limit = \'{"requests":-1,"perSeconds":1}\'',
        metadata: "metadata = '3'",
        parent: "parent = 'nobody'",
      }
      const broken = Object.keys(damage).map((name) => capability(name))
      const child = capability("child of json", { parent: TokenHash.make(sha256("json")) })
      const wide = capability("wide", { parent: good.tokenHash })
      const lines: Array<string> = []
      const logger = Logger.make(({ message, logLevel }) => lines.push(`${logLevel} ${message}`))
      yield* session(filename, (store) =>
        Effect.andThen(storeAll([good, ...broken])(store), storeAll([child, wide])(store)),
      )
      outside(filename, (db) => {
        db.exec("PRAGMA foreign_keys = OFF")
        for (const [name, change] of Object.entries(damage))
          db.exec(`UPDATE tokens SET ${change} WHERE token_hash = '${sha256(name)}'`)
        db.exec(
          `UPDATE tokens SET permissions = '["deploy"]' WHERE token_hash = '${wide.tokenHash}'`,
        )
      })
      const restored = yield* session(filename, (store) => store.restoreAllTokens(0)).pipe(
        Effect.provide(Logger.layer([logger])),
      )
      assert.deepStrictEqual(hashes(restored.tokens), [good.tokenHash])
      assert.strictEqual(restored.unreadable, broken.length + 2)
      const warnings = lines.filter((line) => line.includes("unusable token row"))
      assert.strictEqual(warnings.length, broken.length + 2)
    }),
  )

  it.live("2.7.9 a token is no better than any of those it comes from (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const first = capability("first")
      const second = capability("second", { parent: first.tokenHash })
      const third = capability("third", { parent: second.tokenHash })
      yield* session(filename, (store) => Effect.forEach([first, second, third], store.storeToken))
      outside(filename, (db) => {
        db.exec("PRAGMA foreign_keys = OFF")
        db.exec(`DELETE FROM tokens WHERE token_hash = '${first.tokenHash}'`)
      })
      const restored = yield* session(filename, (store) => store.restoreAllTokens(0))
      assert.deepStrictEqual(restored, { tokens: [], expired: 0, unreadable: 2 })
    }),
  )

  it.live("counts every unusable row once, and names a hundred of them", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const tokens = Array.from({ length: 1005 }, (_, n) => capability(`${n}`))
      yield* session(filename, storeAll(tokens))
      outside(filename, (db) => db.exec("UPDATE tokens SET permissions = 'nonsense'"))
      const lines: Array<string> = []
      const logger = Logger.make(({ message, logLevel }) => lines.push(`${logLevel} ${message}`))
      const restored = yield* session(filename, (store) => store.restoreAllTokens(0)).pipe(
        Effect.provide(Logger.layer([logger])),
      )
      assert.deepStrictEqual(restored, { tokens: [], expired: 0, unreadable: 1005 })
      assert.strictEqual(lines.filter((line) => line.includes("unusable")).length, 100)
    }),
  )

  it.live("says what it could not do, and never takes trouble for an empty table (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const token = capability("one")
      yield* session(filename, storeAll([token]))
      yield* session(filename, (store) =>
        Effect.gen(function* () {
          outside(filename, (db) => db.exec("ALTER TABLE tokens RENAME COLUMN token_hash TO lost"))
          const operations = []
          for (const failing of [
            store.restoreAllTokens(0),
            store.tokenExists(token.tokenHash),
            store.tokensOf(token.tenantId, { limit: 1 }),
            store.cleanupExpired(0),
          ])
            operations.push((yield* Effect.flip<unknown, StorageError, never>(failing)).operation)
          assert.deepStrictEqual(operations, [
            "restore tokens",
            "look up a token",
            "list tokens",
            "clean up tokens",
          ])
        }),
      )
    }),
  )

  it.live("survives a cycle of parents, made by hand", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const [a, b] = [capability("a"), capability("b")]
      yield* session(filename, storeAll([a, b]))
      outside(filename, (db) => {
        db.exec(`UPDATE tokens SET parent = '${b.tokenHash}' WHERE token_hash = '${a.tokenHash}'`)
        db.exec(`UPDATE tokens SET parent = '${a.tokenHash}' WHERE token_hash = '${b.tokenHash}'`)
      })
      const restored = yield* session(filename, (store) => store.restoreAllTokens(0))
      assert.deepStrictEqual(restored, { tokens: [], expired: 0, unreadable: 2 })
    }),
  )

  it.live("takes a missing table for an empty one", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, storeAll([capability("one")]))
      outside(filename, (db) => db.exec("DROP TABLE tokens"))
      yield* session(filename, (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual((yield* store.restoreAllTokens(0)).tokens, [])
          const error = yield* Effect.flip(store.storeToken(capability("two")))
          assert.strictEqual(error._tag === "StorageError" && error.fault, "missing")
        }),
      )
    }),
  )

  it.live("writes neither row nor event when one of them fails (promise 1)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (store) =>
        Effect.gen(function* () {
          const events = yield* EventStore
          const kept = capability("kept")
          yield* store.storeToken(kept)
          const before = yield* events.lastId

          const unlock = lockOut(filename)
          const locked = yield* Effect.flip(store.storeToken(capability("locked")))
          assert.strictEqual(locked._tag === "StorageError" && locked.fault, "locked")
          unlock()

          // The row could be written, the event cannot.
          outside(filename, (db) =>
            db.exec(`CREATE TRIGGER no_events BEFORE INSERT ON events
                     BEGIN SELECT RAISE(ABORT, 'no'); END`),
          )
          yield* Effect.flip(store.storeToken(capability("eventless")))
          const { tokenHash, tenantId } = kept
          const revocation = { tokenHash, tenantId, actor: "root", descendants: 0 }
          yield* Effect.flip(store.revokeToken(revocation))
          outside(filename, (db) => db.exec("DROP TRIGGER no_events"))

          assert.strictEqual(yield* events.lastId, before)
          assert.deepStrictEqual((yield* store.restoreAllTokens(0)).tokens, [kept])
          yield* store.storeToken(capability("after"))
          assert.strictEqual(yield* events.lastId, before + 1)
        }),
      )
    }),
  )

  it.live("refuses what does not fit the schema, and a parent that is gone", () =>
    session(newFile(), (store) =>
      Effect.gen(function* () {
        const invalid = yield* Effect.flip(store.storeToken(capability("x", { permissions: [] })))
        assert.strictEqual(invalid._tag, "InvalidCapability")
        const orphan = capability("orphan", { parent: TokenHash.make(sha256("nobody")) })
        const error = yield* Effect.flip(store.storeToken(orphan))
        assert.strictEqual(error._tag, "ParentGone")
        assert.strictEqual(yield* EventStore.use((events) => events.lastId), 0)
      }),
    ),
  )

  it.live("storing what is stored already changes nothing", () =>
    session(newFile(), (store) =>
      Effect.gen(function* () {
        const token = capability("once")
        yield* store.storeToken(token)
        yield* store.storeToken(token)
        assert.strictEqual(yield* EventStore.use((events) => events.lastId), 1)
      }),
    ),
  )
})
