/**
 * What verification says of tokens and the vault: nothing while all is well, and exactly what was
 * changed when somebody writes to the database (promises 1, 2, 6 and 8).
 */
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"

import { type Bearer, root, type TokenRequest } from "../../../src/domain/Capability.ts"
import { SecretName } from "../../../src/domain/Secret.ts"
import { CapabilityManager } from "../../../src/kernel/capability/CapabilityManager.ts"
import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { Vault } from "../../../src/kernel/vault/Vault.ts"
import { sha256 } from "../Sha256.ts"
import { lockOut } from "../Workbench.ts"
import { caller, newDatabase, run, tenant } from "./Run.ts"

const verify = (full: boolean) =>
  Effect.flatMap(Verifier, (verifier) => verifier.verifyConsistency({ full }))

const found = (full = true) =>
  Effect.map(verify(full), (report) =>
    report.inconsistencies.map(({ detail, invariant, tenantId }) => ({
      invariant,
      tenantId: tenantId as string | null,
      detail: detail.replaceAll(/[0-9a-f]{64}/g, "…"),
    })),
  )

const edit = (filename: string, statement: string) => {
  const database = new DatabaseSync(filename)
  database.exec(`PRAGMA foreign_keys = off; ${statement}`)
  database.close()
}

const grant = Effect.fnUntraced(function* (request: Partial<TokenRequest> = {}) {
  const manager = yield* CapabilityManager
  const { capability } = yield* manager.grant(root, tenant("acme"), {
    permissions: ["read"],
    ...request,
  })
  return capability
})

/** Three tokens in a family, one revoked, one expiring; two secrets. */
const populate = (filename: string) =>
  Effect.gen(function* () {
    const manager = yield* CapabilityManager
    const vault = yield* Vault
    const parent = yield* grant({ permissions: ["read", "kill"] })
    const bearer: Bearer = { _tag: "Tenant", capability: parent }
    const child = (yield* manager.attenuate(bearer, {
      permissions: ["read"],
      ttlSeconds: 3600,
      rateLimit: { requests: 8, perSeconds: 1 },
    })).capability
    const revoked = yield* grant()
    yield* manager.revoke(root, tenant("acme"), revoked.tokenHash)
    yield* grant({ ttlSeconds: 60 })
    for (const name of ["one", "two"]) {
      yield* vault.store(caller("acme"), SecretName.make(name), Redacted.make("value"))
    }
    assert.deepStrictEqual(yield* found(), [])
    assert.deepStrictEqual(yield* found(false), [])
    return { parent, child, revoked }
  }).pipe(run(filename))

describe("verification of tokens", () => {
  it.live("finds nothing while tokens come and go", () =>
    Effect.gen(function* () {
      const manager = yield* CapabilityManager
      const traffic = Effect.forEach(
        Array.from({ length: 300 }),
        () =>
          Effect.flatMap(grant(), ({ tokenHash }) =>
            manager.revoke(root, tenant("acme"), tokenHash),
          ),
        { concurrency: 16, discard: true },
      )
      const checks = Effect.repeat(
        Effect.map(found(), (some) => assert.deepStrictEqual(some, [])),
        {
          times: 10,
        },
      )
      yield* Effect.all([traffic, checks], { concurrency: 2 })
      const report = yield* verify(true)
      assert.strictEqual(report.consistencyChecks.registered["tokens"]?.["granted"], 300)
    }).pipe(run(newDatabase())),
  )

  const cases: Record<string, readonly [(hash: string) => string, string]> = {
    "a row that is gone": [
      (hash) => `DELETE FROM tokens WHERE token_hash = '${hash}'`,
      "the token … was granted and is still good, but has no row",
    ],
    "a row that says more than was granted": [
      (hash) => `UPDATE tokens SET permissions = '["read","grant"]' WHERE token_hash = '${hash}'`,
      "the token … has another permissions in its row than was granted",
    ],
    "a row that lives longer": [
      (hash) => `UPDATE tokens SET expires_at = 99999999999999 WHERE token_hash = '${hash}'`,
      "the token … has another time in its row than was granted",
    ],
    "a row of another tenant": [
      (hash) => `UPDATE tokens SET tenant_id = 'other' WHERE token_hash = '${hash}'`,
      "the token … has another tenant in its row than was granted",
    ],
    "a row that lives for ever": [
      (hash) => `UPDATE tokens SET expires_at = NULL WHERE token_hash = '${hash}'`,
      "the token … has another time in its row than was granted",
    ],
    "a row bound to another service": [
      (hash) => `UPDATE tokens SET service_id = 'other' WHERE token_hash = '${hash}'`,
      "the token … has another service in its row than was granted",
    ],
    "a row that lost its parent": [
      (hash) => `UPDATE tokens SET parent = NULL WHERE token_hash = '${hash}'`,
      "the token … has another parent in its row than was granted",
    ],
    "a row that may be presented more often": [
      (hash) =>
        `UPDATE tokens SET rate_limit = '{"requests":9,"perSeconds":1}' WHERE token_hash = '${hash}'`,
      "the token … has another rate in its row than was granted",
    ],
    "a row that nobody granted": [
      () =>
        `INSERT INTO tokens SELECT '${sha256("forged")}', tenant_id, permissions, service_id, granted_at, granted_by, expires_at, rate_limit, metadata, parent FROM tokens WHERE parent IS NULL LIMIT 1`,
      "the token … has a row, but was never granted",
    ],
    "a row that cannot be read": [
      (hash) => `UPDATE tokens SET permissions = 'nonsense' WHERE token_hash = '${hash}'`,
      "the token … has a row that cannot be read",
    ],
  }
  for (const [what, [statement, detail]] of Object.entries(cases)) {
    it.live(`finds ${what}`, () =>
      Effect.gen(function* () {
        const filename = newDatabase()
        const { child } = yield* populate(filename)
        edit(filename, statement(child.tokenHash))
        const details = (yield* found().pipe(run(filename))).filter(
          ({ invariant }) => invariant === "tokens_agree",
        )
        assert.include(
          details.map((one) => one.detail),
          detail,
        )
      }),
    )
  }

  it.live("finds a revoked token whose row was brought back", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      const { parent, revoked } = yield* populate(filename)
      edit(
        filename,
        `INSERT INTO tokens SELECT '${revoked.tokenHash}', tenant_id, permissions, service_id, granted_at, granted_by, expires_at, rate_limit, metadata, parent FROM tokens WHERE token_hash = '${parent.tokenHash}'`,
      )
      assert.deepStrictEqual(yield* found().pipe(run(filename)), [
        {
          invariant: "tokens_agree",
          tenantId: "acme",
          detail: "the token … has a row, but was revoked",
        },
      ])
    }),
  )
})

describe("verification of tokens that came back", () => {
  it.live("finds a token whose parent was revoked before it (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      const { child, parent } = yield* Effect.gen(function* () {
        const manager = yield* CapabilityManager
        const parent = yield* grant()
        const bearer: Bearer = { _tag: "Tenant", capability: parent }
        const child = (yield* manager.attenuate(bearer, {})).capability
        const grandchild = yield* manager.attenuate({ _tag: "Tenant", capability: child }, {})
        yield* manager.revoke(root, tenant("acme"), parent.tokenHash)
        yield* grant()
        return { child: grandchild.capability, parent }
      }).pipe(run(filename))
      edit(
        filename,
        `INSERT INTO tokens SELECT '${child.tokenHash}', tenant_id, permissions, service_id, granted_at, granted_by, expires_at, rate_limit, metadata, '${parent.tokenHash}' FROM tokens`,
      )
      const details = (yield* found().pipe(run(filename))).map(({ detail }) => detail)
      assert.include(details, "the token … has a row, but was revoked")
    }),
  )

  it.live("does not repeat at length what somebody made up for a hash", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      edit(
        filename,
        `INSERT INTO tokens SELECT '${"x".repeat(10_000)}', tenant_id, permissions, service_id, granted_at, granted_by, expires_at, rate_limit, metadata, NULL FROM tokens LIMIT 1`,
      )
      for (const { detail } of yield* found().pipe(run(filename)))
        assert.isBelow(detail.length, 200)
    }),
  )
})

describe("verification of tokens, in memory", () => {
  const sql = (statement: string) => Effect.flatMap(SqlClient, (client) => client.unsafe(statement))

  it.live("finds a stored token whose row is gone, without reading the log", () =>
    Effect.gen(function* () {
      const { tokenHash } = yield* grant()
      yield* sql(`DELETE FROM tokens WHERE token_hash = '${tokenHash}'`)
      const report = yield* verify(false)
      const [found] = report.inconsistencies
      assert.deepStrictEqual(
        { ...found, eventId: null },
        {
          invariant: "tokens_agree",
          promise: 2,
          severity: "error",
          tenantId: tenant("acme"),
          serviceId: null,
          eventId: null,
          detail: `the token ${tokenHash} is good in memory as stored, but has no row`,
          fixable: false,
        },
      )
      assert.isTrue(report.recommendations.some((text) => text.includes("revoke the tokens named")))
    }).pipe(run(newDatabase())),
  )

  it.live("finds a row that came behind the kernel's back, of a tenant without tokens too", () =>
    Effect.gen(function* () {
      yield* grant()
      yield* sql(`INSERT INTO tokens SELECT '${sha256("forged")}', 'other', permissions, service_id,
        granted_at, granted_by, expires_at, rate_limit, metadata, parent FROM tokens`)
      assert.deepStrictEqual(yield* found(false), [
        {
          invariant: "tokens_agree",
          tenantId: "other",
          detail: "the token … has a row, but is not known in memory",
        },
      ])
    }).pipe(run(newDatabase())),
  )

  it.effect("an expired token is missed nowhere, with or without its row", () =>
    Effect.gen(function* () {
      const manager = yield* CapabilityManager
      yield* grant({ ttlSeconds: 60 })
      const kept = yield* grant({ ttlSeconds: 60 })
      yield* TestClock.adjust("59999 millis")
      assert.deepStrictEqual(yield* found(), [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* found(), [], "rows, but no longer in memory")
      yield* sql(`DELETE FROM tokens WHERE token_hash <> '${kept.tokenHash}'`)
      assert.deepStrictEqual(yield* found(), [])
      yield* manager.cleanup
      assert.deepStrictEqual(yield* found(), [])
    }).pipe(run(newDatabase())),
  )

  it.effect.each([
    ["its row still there", found()],
    ["its row removed", Effect.flatMap(CapabilityManager, ({ cleanup }) => cleanup)],
  ] as const)("nor is it when the clock is set back, %s (promise 2)", ([, meanwhile]) =>
    Effect.gen(function* () {
      yield* grant({ ttlSeconds: 60 })
      yield* TestClock.adjust("61 seconds")
      yield* meanwhile
      yield* TestClock.adjust("-61 seconds")
      assert.deepStrictEqual(yield* found(), [])
    }).pipe(run(newDatabase())),
  )

  it.live("a token that waits to be stored is not missed on disk", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* Effect.gen(function* () {
        const manager = yield* CapabilityManager
        const unlock = lockOut(filename)
        const granted = yield* manager.grant(root, tenant("acme"), { permissions: ["read"] })
        assert.isFalse(granted.durable)
        unlock()
        assert.deepStrictEqual(yield* found(), [])
      }).pipe(run(filename))
    }),
  )

  it.live("counts rows, tokens in memory and, of a whole log, grants; over many pages", () =>
    Effect.gen(function* () {
      const manager = yield* CapabilityManager
      const total = 1002
      const granted = yield* Effect.forEach(Array.from({ length: total }), () => grant(), {
        concurrency: 64,
      })
      yield* manager.revoke(root, tenant("acme"), granted[0]!.tokenHash)
      const of = (full: boolean) =>
        Effect.map(verify(full), (report) => report.consistencyChecks.registered["tokens"])
      const rows = total - 1
      assert.deepStrictEqual(yield* of(false), { rows, inMemory: rows, granted: 0 })
      assert.deepStrictEqual(yield* of(true), { rows, inMemory: rows, granted: total })
      assert.deepStrictEqual((yield* verify(true)).recommendations, [])
    }).pipe(run(newDatabase())),
  )
})

describe("verification of the vault", () => {
  it.live("finds a secret that was moved, and one whose data key is gone", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      edit(filename, "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'one')")
      assert.deepStrictEqual(yield* found(false).pipe(run(filename)), [])
      assert.deepStrictEqual(yield* found().pipe(run(filename)), [
        {
          invariant: "vault_opens",
          tenantId: "acme",
          detail: "the secret two is damaged; store it again",
        },
      ])
      edit(filename, "DELETE FROM vault_data_keys")
      const [missing] = yield* found(false).pipe(run(filename))
      assert.strictEqual(missing?.detail, "its data key is missing")
    }),
  )

  it.live("compares it with the log: what is lost, what came back, what was never stored", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      const agree = "vault_agrees"
      edit(filename, "DELETE FROM secrets WHERE name = 'one'")
      assert.deepStrictEqual(yield* found(false).pipe(run(filename)), [])
      const lost = "the secret one was stored and never revoked, but is not there"
      assert.deepStrictEqual(yield* found().pipe(run(filename)), [
        { invariant: agree, tenantId: "acme", detail: lost },
      ])
      edit(filename, "UPDATE secrets SET name = '../x'")
      const details = (yield* found().pipe(run(filename)))
        .filter(({ invariant }) => invariant === agree)
        .map(({ detail }) => detail)
      assert.include(details, "the secret ../x is there, but was never stored")
    }),
  )

  it.live("finds a secret that is back although it was revoked (promise 2)", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      edit(filename, "CREATE TABLE aside AS SELECT * FROM secrets")
      const revoke = Effect.flatMap(Vault, (vault) =>
        vault.revoke(caller("acme"), SecretName.make("two")),
      )
      yield* revoke.pipe(run(filename))
      assert.deepStrictEqual(yield* found().pipe(run(filename)), [])
      edit(filename, "INSERT OR IGNORE INTO secrets SELECT * FROM aside")
      assert.deepStrictEqual(
        (yield* found().pipe(run(filename))).map(({ detail }) => detail),
        ["the secret two was revoked, but is there"],
      )
    }),
  )

  it.live("lists what can be read beside a row that is no secret", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      edit(filename, "UPDATE secrets SET name = '/' WHERE name = 'one'")
      const list = Effect.flatMap(Vault, (vault) =>
        vault.list(tenant("acme"), { after: undefined, limit: 1 }),
      )
      assert.deepStrictEqual(
        (yield* list.pipe(run(filename))).map(({ name }) => name as string),
        ["two"],
      )
    }),
  )

  it.live("reports damaged names in words: they are no tenants to be asked for", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* populate(filename)
      edit(filename, "UPDATE secrets SET tenant_id = '../x' WHERE name = 'one'")
      const [first] = yield* found(false).pipe(run(filename))
      assert.deepStrictEqual(first, {
        invariant: "vault_opens",
        tenantId: null,
        detail: 'its data key is missing (of ["../x"])',
      })
    }),
  )
})
