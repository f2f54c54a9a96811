/**
 * Secrets stored, read, revoked and erased; bounds, denials and damaged rows (promises 1, 2, 6, 8).
 */
import { readFileSync } from "node:fs"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"

import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { maxSecretBytes, maxSecrets, SecretName } from "../../src/domain/Secret.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { Vault } from "../../src/kernel/vault/Vault.ts"
import { layerVaults, lockOut, newFile, outside } from "./Workbench.ts"

const a = { tenantId: TenantId.make("a"), actor: "root" }
const b = { tenantId: TenantId.make("b"), actor: "root" }
const name = (text: string) => SecretName.make(text)
const secret = (text: string) => Redacted.make(text)

/** Opens the vault on `filename`, runs, and closes it again. */
const session = <A, E>(
  filename: string,
  run: (vault: Vault["Service"]) => Effect.Effect<A, E, Vault | EventStore>,
) => Effect.flatMap(Vault, run).pipe(Effect.provide(layerVaults(filename)))

const types = EventStore.use((events) =>
  Effect.map(Stream.runCollect(events.stream()), (all) => Array.from(all, (event) => event.type)),
)

const valueOf = (vault: Vault["Service"], caller: typeof a, of: string) =>
  Effect.map(vault.retrieve(caller, name(of)), Redacted.value)

const rows = (filename: string, table: string) =>
  outside(filename, (db) => db.prepare(`SELECT * FROM ${table}`).all())

describe("Vault", () => {
  it.live("keeps secrets across a restart (promise 1)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* vault.store(a, name("key"), secret("first"))
          yield* vault.store(a, name("key"), secret("grüße 🌍"))
          yield* vault.store(a, name("empty"), secret(""))
          yield* vault.store(a, name("marked"), secret("\uFEFFmarked\uFEFF"))
        }),
      )
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* valueOf(vault, a, "key"), "grüße 🌍")
          assert.strictEqual(yield* valueOf(vault, a, "empty"), "")
          assert.strictEqual(yield* valueOf(vault, a, "marked"), "\uFEFFmarked\uFEFF")
          const listed = yield* vault.list(a.tenantId, { limit: 10 })
          assert.deepStrictEqual(
            listed.map((view) => view.name as string),
            ["empty", "key", "marked"],
          )
        }),
      )
      assert.deepStrictEqual(
        rows(filename, "events").map((row) => row["type"]),
        [
          ...Array.from({ length: 4 }, () => "secret_stored"),
          ...Array.from({ length: 3 }, () => "secret_accessed"),
        ],
      )
    }),
  )

  it.live("shows nothing of one tenant to another (promise 6)", () =>
    session(newFile(), (vault) =>
      Effect.gen(function* () {
        yield* vault.store(a, name("key"), secret("of a"))
        assert.isFalse(yield* vault.exists(b.tenantId, name("key")))
        assert.deepStrictEqual(yield* vault.list(b.tenantId, { limit: 10 }), [])
        const there = yield* Effect.flip(vault.retrieve(b, name("key")))
        yield* vault.store(b, name("other"), secret("of b"))
        const still = yield* Effect.flip(vault.retrieve(b, name("key")))
        assert.deepStrictEqual([there._tag, still._tag], ["SecretNotFound", "SecretNotFound"])
        const revoked = yield* Effect.flip(vault.revoke(b, name("key")))
        assert.strictEqual(revoked._tag, "SecretNotFound")
        assert.strictEqual(yield* valueOf(vault, a, "key"), "of a")
      }),
    ),
  )

  it.live("a revoked secret stays gone, and can be stored anew (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* vault.store(a, name("key"), secret("old"))
          yield* vault.revoke(a, name("key"))
          assert.strictEqual(
            (yield* Effect.flip(vault.revoke(a, name("key"))))._tag,
            "SecretNotFound",
          )
        }),
      )
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          assert.isFalse(yield* vault.exists(a.tenantId, name("key")))
          yield* vault.store(a, name("key"), secret("new"))
          assert.strictEqual(yield* valueOf(vault, a, "key"), "new")
          // The revocation that found nothing left no event.
          assert.deepStrictEqual(
            (yield* types).filter((type) => type === "secret_revoked"),
            ["secret_revoked"],
          )
        }),
      )
    }),
  )

  it.live("tells a service only what its spec names", () =>
    session(newFile(), (vault) =>
      Effect.gen(function* () {
        const service = { tenantId: a.tenantId, serviceId: ServiceId.make("s") }
        yield* vault.store(a, name("key"), secret("value"))
        assert.strictEqual(Redacted.value(yield* vault.read(service, ["key"], "key")), "value")
        for (const granted of [[], ["KEY"], ["missing"]]) {
          const error = yield* Effect.flip(vault.read(service, granted, "key"))
          assert.strictEqual(error._tag, "SecretAccessDenied")
        }
        const missing = yield* Effect.flip(vault.read(service, ["missing"], "missing"))
        assert.strictEqual(missing._tag, "SecretNotFound")
        const elsewhere = { ...service, tenantId: b.tenantId }
        const other = yield* Effect.flip(vault.read(elsewhere, ["key"], "key"))
        assert.strictEqual(other._tag, "SecretNotFound")
      }),
    ),
  )

  it.live("records reads in the log, but not one by one", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const service = { tenantId: a.tenantId, serviceId: ServiceId.make("s") }
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* vault.store(a, name("key"), secret("value"))
          for (let i = 0; i < 100; i++) yield* vault.read(service, ["key"], "key")
          for (let i = 0; i < 100; i++) yield* Effect.flip(vault.read(service, [], "key"))
        }),
      )
      const all = rows(filename, "events").map((row) => row["type"])
      assert.strictEqual(all.filter((type) => type === "secret_accessed").length, 1)
      assert.strictEqual(all.filter((type) => type === "secret_access_denied").length, 10)
    }),
  )

  it.live("bounds size and number", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* vault.store(a, name("largest"), secret("x".repeat(maxSecretBytes)))
          const large = yield* Effect.flip(
            vault.store(a, name("larger"), secret("é".repeat(maxSecretBytes / 2 + 1))),
          )
          assert.strictEqual(large._tag, "SecretTooLarge")
          yield* Effect.forEach(
            Array.from({ length: maxSecrets + 50 }, (_, n) => name(`n${n}`)),
            (each) => Effect.exit(vault.store(a, each, secret("x"))),
            { concurrency: "unbounded" },
          )
          const error = yield* Effect.flip(vault.store(a, name("more"), secret("x")))
          assert.strictEqual(error._tag, "TooManySecrets")
          yield* vault.store(a, name("largest"), secret("changing one is no new one"))
          yield* vault.store(b, name("of-another"), secret("x")).pipe(Effect.exit)
        }),
      )
      const own = rows(filename, "secrets").filter((row) => row["tenant_id"] === "a")
      assert.strictEqual(own.length, maxSecrets)
    }),
  )

  it.live("opens nothing in another's place", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* vault.store(a, name("one"), secret("1"))
          yield* vault.store(a, name("two"), secret("2"))
          yield* vault.store(b, name("one"), secret("3"))
          const swaps = {
            "another name": `UPDATE secrets SET sealed = (SELECT sealed FROM secrets
              WHERE tenant_id = 'a' AND name = 'two') WHERE tenant_id = 'a' AND name = 'one'`,
            "another tenant": `UPDATE secrets SET sealed = (SELECT sealed FROM secrets
              WHERE tenant_id = 'b' AND name = 'one') WHERE tenant_id = 'a' AND name = 'one'`,
            "another time": "UPDATE secrets SET stored_at = stored_at + 1",
            "a changed byte": `UPDATE secrets SET sealed =
              CAST(substr(sealed, 1, 13) || x'00' || substr(sealed, 15) AS BLOB) WHERE name = 'one'`,
            "another version":
              "UPDATE secrets SET sealed = CAST(x'02' || substr(sealed, 2) AS BLOB)",
            "too short": "UPDATE secrets SET sealed = x'01'",
          }
          for (const [what, sql] of Object.entries(swaps)) {
            outside(filename, (db) => db.exec(sql))
            const error = yield* Effect.flip(vault.retrieve(a, name("one")))
            assert.strictEqual(error._tag, "SecretDamaged", what)
            yield* vault.store(a, name("one"), secret("1"))
            assert.strictEqual(yield* valueOf(vault, a, "one"), "1", "storing it again heals it")
          }
        }),
      )
    }),
  )

  it.live("does not open with data keys that changed places", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) =>
        Effect.andThen(
          vault.store(a, name("one"), secret("1")),
          vault.store(b, name("one"), secret("2")),
        ),
      )
      outside(filename, (db) =>
        db.exec(`UPDATE vault_data_keys SET sealed =
          (SELECT sealed FROM vault_data_keys WHERE tenant_id = 'b') WHERE tenant_id = 'a'`),
      )
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          assert.strictEqual(
            (yield* Effect.flip(vault.retrieve(a, name("one"))))._tag,
            "SecretDamaged",
          )
          assert.strictEqual(
            (yield* Effect.flip(vault.store(a, name("two"), secret("x"))))._tag,
            "DataKeyDamaged",
          )
          assert.strictEqual(yield* valueOf(vault, b, "one"), "2", "the other tenant is unharmed")
        }),
      )
    }),
  )

  it.live("never uses a nonce twice", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const nonces = new Set<string>()
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          for (let i = 0; i < 50; i++) {
            yield* vault.store(a, name("key"), secret("same"))
            const [row] = rows(filename, "secrets")
            nonces.add(
              Buffer.from(row!["sealed"] as Uint8Array)
                .subarray(1, 13)
                .toString("hex"),
            )
          }
        }),
      )
      assert.strictEqual(nonces.size, 50)
    }),
  )

  it.live("a failed store or revocation changes nothing", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* vault.store(a, name("key"), secret("before"))
          const unlock = lockOut(filename)
          const failures = [
            yield* Effect.flip(vault.store(a, name("key"), secret("after"))),
            yield* Effect.flip(vault.revoke(a, name("key"))),
            yield* Effect.flip(vault.store(b, name("key"), secret("new"))),
          ]
          unlock()
          for (const error of failures) assert.strictEqual(error._tag, "StorageError")
          assert.strictEqual(yield* valueOf(vault, a, "key"), "before")
          assert.isFalse(yield* vault.exists(b.tenantId, name("key")))
          assert.deepStrictEqual(
            (yield* types).filter((type) => type !== "secret_accessed"),
            ["secret_stored"],
          )
        }),
      )
    }),
  )

  it.live("leaves no ciphertext of a revoked secret in the database's files after a flush", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* vault.store(a, name("key"), secret("x".repeat(3000)))
          yield* vault.store(a, name("other"), secret("y".repeat(3000)))
          const [row] = rows(filename, "secrets")
          const sealed = Buffer.from(row!["sealed"] as Uint8Array).subarray(100, 200)
          const files = () => [filename, `${filename}-wal`].map((path) => readFileSync(path))
          assert.isTrue(files().some((bytes) => bytes.includes(sealed)))
          yield* vault.revoke(a, name("key"))
          yield* vault.flush
          assert.isFalse(files().some((bytes) => bytes.includes(sealed)))
        }),
      )
    }),
  )
})
