/**
 * Master keys: the wrong one is refused, and replacing the right one survives whatever interrupts
 * it.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"

import { TenantId } from "../../src/domain/Identifier.ts"
import { SecretName } from "../../src/domain/Secret.ts"
import { MasterKeys } from "../../src/kernel/vault/MasterKeys.ts"
import { Vault } from "../../src/kernel/vault/Vault.ts"
import { layerVaults, lockOut, newFile, outside } from "./Workbench.ts"

const a = { tenantId: TenantId.make("a"), actor: "root" }
const name = (text: string) => SecretName.make(text)
const secret = (text: string) => Redacted.make(text)

const session = <A, E>(
  filename: string,
  run: (vault: Vault["Service"]) => Effect.Effect<A, E, Vault | MasterKeys>,
) =>
  Vault.pipe(
    Effect.tap((vault) => vault.resumeRotation),
    Effect.flatMap(run),
    Effect.provide(layerVaults(filename)),
  )

const valueOf = (vault: Vault["Service"], caller: typeof a, of: string) =>
  Effect.map(vault.retrieve(caller, name(of)), Redacted.value)

const keyFile = (filename: string) => join(dirname(filename), "master-key")

const rows = (filename: string, table: string) =>
  outside(filename, (db) => db.prepare(`SELECT * FROM ${table}`).all())

const otherKey = `${Buffer.alloc(32, 7).toString("base64")}\n`

describe("master keys", () => {
  it.live("keeps the key in a file that only its owner reads, and makes it once", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, () => Effect.void)
      const before = readFileSync(keyFile(filename), "utf8")
      assert.match(before, /^[A-Za-z0-9+/]{43}=\n$/)
      assert.strictEqual(statSync(keyFile(filename)).mode & 0o777, 0o600)
      yield* session(filename, () => Effect.void)
      assert.strictEqual(readFileSync(keyFile(filename), "utf8"), before)
    }),
  )

  it.live.each(["", "short", "x".repeat(44), `${Buffer.alloc(31).toString("base64")}`])(
    "refuses a key file with %j, without showing it",
    (text) =>
      Effect.gen(function* () {
        const filename = newFile()
        writeFileSync(keyFile(filename), text)
        const error = yield* Effect.flip(session(filename, () => Effect.void))
        assert.strictEqual(error._tag, "BadMasterKey")
        assert.include(error.message, "32 bytes in base64")
        if (text !== "") assert.notInclude(error.message, text)
        assert.strictEqual(readFileSync(keyFile(filename), "utf8"), text)
      }),
  )

  it.live("refuses a wrong key even while there are no secrets", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, () => Effect.void)
      writeFileSync(keyFile(filename), otherKey)
      const error = yield* Effect.flip(session(filename, () => Effect.void))
      assert.strictEqual(error._tag, "WrongMasterKey")
    }),
  )

  it.live("leaves no key behind where the one that sealed the database is lost", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) => vault.store(a, name("key"), secret("value")))
      const right = readFileSync(keyFile(filename))
      rmSync(keyFile(filename))
      for (let attempt = 0; attempt < 2; attempt++) {
        const error = yield* Effect.flip(session(filename, () => Effect.void))
        assert.strictEqual(error._tag, "WrongMasterKey")
        assert.include(error.message, "the master key is missing")
        assert.isFalse(existsSync(keyFile(filename)))
      }
      writeFileSync(keyFile(filename), right)
      yield* session(filename, (vault) =>
        Effect.map(valueOf(vault, a, "key"), (value) => assert.strictEqual(value, "value")),
      )
    }),
  )

  it.live("closes a key file that others can read, and refuses what is no file", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, () => Effect.void)
      chmodSync(keyFile(filename), 0o644)
      yield* session(filename, () => Effect.void)
      assert.strictEqual(statSync(keyFile(filename)).mode & 0o777, 0o600)
      rmSync(keyFile(filename))
      symlinkSync("/dev/null", keyFile(filename))
      const error = yield* Effect.flip(session(filename, () => Effect.void))
      assert.strictEqual(error._tag, "BadMasterKey")
      assert.include(error.message, "it is a device, a pipe or a socket")
    }),
  )

  it.live("seals nothing with a key that could not be kept", () =>
    Effect.gen(function* () {
      const filename = newFile()
      mkdirSync(`${keyFile(filename)}.new`)
      const error = yield* Effect.flip(session(filename, () => Effect.void))
      assert.strictEqual(error._tag, "MasterKeysKept")
      assert.include(error.message, "it is a directory")
      assert.deepStrictEqual(rows(filename, "vault_master_keys"), [])
      rmSync(`${keyFile(filename)}.new`, { recursive: true })
      yield* session(filename, () => Effect.void)
    }),
  )

  it.live("refuses a wrong master key before it writes anything", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) => vault.store(a, name("key"), secret("value")))
      const right = readFileSync(keyFile(filename))
      writeFileSync(keyFile(filename), otherKey)
      const tables = ["vault_master_keys", "vault_data_keys", "secrets", "events", "log_head"]
      const before = tables.map((table) => rows(filename, table))
      const error = yield* Effect.flip(session(filename, () => Effect.void))
      assert.strictEqual(error._tag, "WrongMasterKey")
      assert.include(error.message, "SOLO_MASTER_KEY")
      assert.deepStrictEqual(
        tables.map((table) => rows(filename, table)),
        before,
      )
      writeFileSync(keyFile(filename), right)
      assert.strictEqual(yield* session(filename, (vault) => valueOf(vault, a, "key")), "value")
    }),
  )

  it.live("replaces the master key while secrets are stored and read", () =>
    Effect.gen(function* () {
      const filename = newFile()
      const tenants = Array.from({ length: 150 }, (_, n) => ({
        tenantId: TenantId.make(`t${n}`),
        actor: "root",
      }))
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          const store = (caller: typeof a) =>
            vault.store(caller, name("key"), secret(caller.tenantId))
          yield* Effect.forEach(tenants.slice(0, 110), store, { concurrency: 16, discard: true })
          const before = readFileSync(keyFile(filename), "utf8")
          const [wrapped] = yield* Effect.all(
            [
              vault.rotateMasterKey,
              Effect.forEach(tenants.slice(110), store, { concurrency: 4, discard: true }),
              Effect.forEach(tenants.slice(0, 110), (caller) => valueOf(vault, caller, "key")),
            ],
            { concurrency: "unbounded" },
          )
          assert.isAtLeast(wrapped, 110)
          assert.notStrictEqual(readFileSync(keyFile(filename), "utf8"), before)
          assert.strictEqual(rows(filename, "vault_master_keys").length, 1)
        }),
      )
      yield* session(filename, (vault) =>
        Effect.forEach(tenants, (caller) =>
          Effect.map(valueOf(vault, caller, "key"), (value) =>
            assert.strictEqual(value, caller.tenantId),
          ),
        ),
      )
    }),
  )

  // Every statement of a rotation that can fail does, in turn; then the kernel starts again.
  const faults = [
    "CREATE TRIGGER fault BEFORE INSERT ON vault_master_keys BEGIN SELECT RAISE(FAIL, 'x'); END",
    "CREATE TRIGGER fault BEFORE UPDATE ON vault_data_keys BEGIN SELECT RAISE(FAIL, 'x'); END",
    `CREATE TRIGGER fault BEFORE UPDATE ON vault_data_keys WHEN OLD.tenant_id = 't99'
       BEGIN SELECT RAISE(FAIL, 'x'); END`,
    "CREATE TRIGGER fault BEFORE DELETE ON vault_master_keys BEGIN SELECT RAISE(FAIL, 'x'); END",
    "CREATE TRIGGER fault BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'x'); END",
  ]
  it.live.each(faults)("a rotation cut short is finished at the next start: %s", (fault) =>
    Effect.gen(function* () {
      const filename = newFile()
      const tenants = Array.from({ length: 110 }, (_, n) => ({
        tenantId: TenantId.make(`t${n}`),
        actor: "root",
      }))
      const check = (vault: Vault["Service"]) =>
        Effect.forEach(tenants, (caller) =>
          Effect.map(valueOf(vault, caller, "key"), (value) =>
            assert.strictEqual(value, caller.tenantId),
          ),
        )
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* Effect.forEach(
            tenants,
            (caller) => vault.store(caller, name("key"), secret(caller.tenantId)),
            { concurrency: 16 },
          )
          outside(filename, (db) => db.exec(fault))
          assert.isTrue(Exit.isFailure(yield* Effect.exit(vault.rotateMasterKey)))
          assert.strictEqual(readFileSync(keyFile(filename), "utf8").trim().split("\n").length, 2)
          yield* check(vault)
        }),
      )
      outside(filename, (db) => db.exec("DROP TRIGGER fault"))
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* check(vault)
          assert.strictEqual(readFileSync(keyFile(filename), "utf8").trim().split("\n").length, 1)
          assert.strictEqual(rows(filename, "vault_master_keys").length, 1)
          const [only] = rows(filename, "vault_master_keys")
          for (const row of rows(filename, "vault_data_keys"))
            assert.strictEqual(row["key_id"], only!["key_id"])
          assert.strictEqual(yield* vault.rotateMasterKey, tenants.length)
        }),
      )
      yield* session(filename, check)
    }),
  )

  it.live("asking again goes on with a rotation that failed", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* session(filename, (vault) =>
        Effect.gen(function* () {
          yield* vault.store(a, name("key"), secret("value"))
          const unlock = lockOut(filename)
          assert.isTrue(Exit.isFailure(yield* Effect.exit(vault.rotateMasterKey)))
          unlock()
          assert.strictEqual(yield* vault.rotateMasterKey, 1)
          const keys = yield* MasterKeys.use((ring) => ring.keys)
          assert.strictEqual(keys.length, 1)
          assert.strictEqual(yield* valueOf(vault, a, "key"), "value")
        }),
      )
    }),
  )
})
