/**
 * The vault on `effect/sql`: secrets sealed by their tenant's data key, written and removed
 * together with their events.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"

import { draft } from "../../domain/Event.ts"
import type { TenantId } from "../../domain/Identifier.ts"
import { maxSecretBytes, maxSecrets, type SecretName } from "../../domain/Secret.ts"
import { withoutTokens } from "../../domain/Token.ts"
import { isRefusal, refuse } from "../log/Attachment.ts"
import { EventStore } from "../log/EventStore.ts"
import { makeRecorder } from "../log/Recorder.ts"
import { makeFailed, Storage } from "../log/Storage.ts"
import type { Caller } from "../services/Deployer.ts"
import { type DataKeys, makeDataKeys } from "./DataKeys.ts"
import { makeMasterKeyring } from "./MasterKeyring.ts"
import { makeMasterKeyRotation } from "./MasterKeyRotation.ts"
import { makeSeal, type Seal } from "./Seal.ts"
import { listSecrets } from "./SecretList.ts"
import {
  SecretAccessDenied,
  SecretDamaged,
  SecretNotFound,
  SecretTooLarge,
  TooManySecrets,
  Vault,
} from "./Vault.ts"

/** Reads recorded per reader, secret and minute. */
const maxReadsRecorded = 1

/** Refused reads recorded per service and minute. */
const maxDenialsRecorded = 10

/** How long to wait between erasures, in milliseconds. */
const eraseEveryMs = 1000

/** Longest name recorded of a secret that a service may not read. */
const maxRecordedName = 128

interface SecretRow {
  readonly name: SecretName
  readonly stored_at: number
  readonly sealed: Uint8Array
}

/** Erases what was removed from the database's files: soon, and not too often. */
const makeEraser = Effect.gen(function* () {
  const storage = yield* Storage
  const wanted = yield* Latch.make(false)
  const erase = wanted.close.pipe(
    Effect.andThen(storage.scrub),
    Effect.catchTag("SqlError", (error) =>
      Effect.logDebug("could not erase what was removed").pipe(
        Effect.annotateLogs({ reason: error.message }),
        Effect.as(false),
      ),
    ),
    Effect.flatMap((done) => (done ? Effect.void : wanted.open)),
  )
  yield* wanted.await.pipe(
    Effect.andThen(erase),
    Effect.andThen(Effect.sleep(eraseEveryMs)),
    Effect.forever,
    Effect.forkScoped,
  )
  return { soon: wanted.open, now: erase }
})

/** Records who read what, and who tried. */
const makeWitness = Effect.gen(function* () {
  const reads = yield* makeRecorder(maxReadsRecorded)
  const denials = yield* makeRecorder(maxDenialsRecorded)
  return {
    flush: Effect.andThen(reads.flush, denials.flush),
    accessed: (
      origin: Parameters<typeof draft>[2] & { readonly tenantId: TenantId },
      name: SecretName,
    ) =>
      reads.record(
        [origin.tenantId, origin.serviceId ?? "", origin.actor ?? "", name].join("/"),
        (unrecorded) => draft("secret_accessed", { name, unrecorded }, origin),
      ),
    denied: (origin: Parameters<typeof draft>[2] & { readonly tenantId: TenantId }, name: string) =>
      denials.record([origin.tenantId, origin.serviceId].join("/"), (unrecorded) =>
        draft(
          "secret_access_denied",
          {
            name: withoutTokens(name).slice(0, maxRecordedName),
            reason: "not in the spec",
            unrecorded,
          },
          origin,
        ),
      ),
  }
})

/** Opens secrets. */
const makeOpen = Effect.fnUntraced(function* (seal: Seal, dataKeys: DataKeys) {
  const sql = yield* SqlClient
  const failed = yield* makeFailed
  return Effect.fnUntraced(function* (tenantId: TenantId, name: SecretName) {
    const [row] = yield* Effect.mapError(
      sql<SecretRow>`
        SELECT name, stored_at, sealed FROM secrets WHERE tenant_id = ${tenantId} AND name = ${name}`,
      failed("read a secret"),
    )
    if (row === undefined) return yield* new SecretNotFound({ name })
    const damaged = () => new SecretDamaged({ name })
    const key = yield* Effect.catchTag(dataKeys.find(tenantId), "DataKeyDamaged", damaged)
    if (key === undefined) return yield* damaged()
    const binding = ["secret", tenantId, name, row.stored_at] as const
    const bytes = yield* Effect.mapError(seal.open(key, row.sealed, binding), damaged)
    // A secret is what was stored, to the first character: U+FEFF, too.
    const value = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
    return Redacted.make(value, { label: "secret" })
  })
})

/** Stores and revokes secrets. */
const makeChange = Effect.fnUntraced(function* (seal: Seal, dataKeys: DataKeys) {
  const sql = yield* SqlClient
  const events = yield* EventStore
  const eraser = yield* makeEraser

  const put = Effect.fnUntraced(function* (tenantId: TenantId, row: SecretRow) {
    yield* sql`
      INSERT INTO secrets ${sql.insert({ tenant_id: tenantId, ...row })}
      ON CONFLICT (tenant_id, name) DO UPDATE SET
        stored_at = excluded.stored_at, sealed = excluded.sealed`
    const [held] = yield* sql<{
      readonly count: number
    }>`SELECT count(*) AS count FROM secrets WHERE tenant_id = ${tenantId}`
    if (held!.count > maxSecrets) return yield* refuse("too many secrets")
  })

  const take = Effect.fnUntraced(function* (tenantId: TenantId, name: SecretName) {
    const rows = yield* sql`
      DELETE FROM secrets WHERE tenant_id = ${tenantId} AND name = ${name} RETURNING name`
    if (rows.length === 0) return yield* refuse("no such secret")
  })

  return {
    store: Effect.fn("Vault.store")(function* (
      caller: Caller,
      name: SecretName,
      value: Redacted.Redacted<string>,
    ) {
      const { tenantId } = caller
      const plain = new TextEncoder().encode(Redacted.value(value))
      if (plain.length > maxSecretBytes)
        return yield* new SecretTooLarge({ bytes: plain.length, maximum: maxSecretBytes })
      const key = yield* dataKeys.obtain(tenantId)
      const storedAt = yield* Clock.currentTimeMillis
      const sealed = yield* seal.seal(key, plain, ["secret", tenantId, name, storedAt])
      yield* events
        .append(
          [draft("secret_stored", { name }, caller)],
          put(tenantId, { name, stored_at: storedAt, sealed }),
        )
        .pipe(Effect.catchIf(isRefusal, () => new TooManySecrets({ maximum: maxSecrets })))
      yield* eraser.soon
    }),

    revoke: Effect.fn("Vault.revoke")(function* (caller: Caller, name: SecretName) {
      yield* events
        .append([draft("secret_revoked", { name }, caller)], take(caller.tenantId, name))
        .pipe(Effect.catchIf(isRefusal, () => new SecretNotFound({ name })))
      yield* eraser.soon
    }),

    flush: Effect.andThen(events.flush, eraser.now),
  }
})

const make = Effect.gen(function* () {
  const sql = yield* SqlClient
  const failed = yield* makeFailed
  const seal = yield* makeSeal
  const keyring = yield* makeMasterKeyring(seal)
  const dataKeys = yield* makeDataKeys(seal, keyring)
  const rotation = yield* makeMasterKeyRotation(keyring, dataKeys)
  const witness = yield* makeWitness
  const open = yield* makeOpen(seal, dataKeys)
  const change = yield* makeChange(seal, dataKeys)

  return Vault.of({
    ...change,
    ...rotation,
    flush: Effect.andThen(witness.flush, change.flush),

    retrieve: Effect.fn("Vault.retrieve")(function* (caller, name) {
      const value = yield* open(caller.tenantId, name)
      witness.accessed(caller, name)
      return value
    }),

    read: Effect.fn("Vault.read")(function* (service, granted, name) {
      if (!granted.includes(name)) {
        witness.denied(service, name)
        return yield* new SecretAccessDenied({ name })
      }
      // A spec may name what can be no secret's name.
      const secret = name as SecretName
      const value = yield* open(service.tenantId, secret)
      witness.accessed(service, secret)
      return value
    }),

    check: Effect.fn("Vault.check")((tenantId, name) => Effect.asVoid(open(tenantId, name))),

    exists: Effect.fn("Vault.exists")((tenantId, name) =>
      sql`SELECT 1 FROM secrets WHERE tenant_id = ${tenantId} AND name = ${name}`.pipe(
        Effect.map((rows) => rows.length > 0),
        Effect.mapError(failed("look up a secret")),
      ),
    ),

    list: Effect.fn("Vault.list")((tenantId, { after, limit }) =>
      listSecrets(tenantId, after ?? "", limit).pipe(
        Effect.provideService(SqlClient, sql),
        Effect.mapError(failed("list secrets")),
      ),
    ),
  })
})

/** The vault on whatever database is behind `SqlClient`. */
export const layerVault = Layer.effect(Vault, make)
