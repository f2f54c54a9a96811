/**
 * The data keys: one per tenant, made with its first secret, wrapped by a master key. Losing the
 * row loses the tenant's secrets and nobody else's.
 */
import * as Aead from "effect/crypto/Aead"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { SqlClient } from "effect/sql/SqlClient"

import type { TenantId } from "../../domain/Identifier.ts"
import { makeFailed } from "../log/Storage.ts"
import { importKey, type Master, type MasterKeyring } from "./MasterKeyring.ts"
import type { Seal } from "./Seal.ts"
import { DataKeyDamaged } from "./Vault.ts"

/** Data keys held open at most; the longest held goes first. */
const maxOpen = 10_000

/** Data keys wrapped anew in one transaction. */
const rewrapSize = 100

interface DataKeyRow {
  readonly tenant_id: TenantId
  readonly key_id: string
  readonly sealed: Uint8Array
}

const makeWrapping = (seal: Seal, keyring: MasterKeyring) => ({
  wrap: (bytes: Uint8Array, tenantId: TenantId, master: Master) =>
    seal.seal(master.key, bytes, ["data-key", tenantId, master.keyId]),

  unwrap: (row: DataKeyRow): Effect.Effect<Uint8Array, DataKeyDamaged> => {
    const master = keyring.get(row.key_id)
    const damaged = new DataKeyDamaged({ tenantId: row.tenant_id })
    return master === undefined
      ? Effect.fail(damaged)
      : Effect.mapError(
          seal.open(master.key, row.sealed, ["data-key", row.tenant_id, row.key_id]),
          () => damaged,
        )
  },
})

/** Makes and opens data keys. */
export const makeDataKeys = Effect.fnUntraced(function* (seal: Seal, keyring: MasterKeyring) {
  const sql = yield* SqlClient
  const random = yield* SecureRandom.SecureRandom
  const failed = yield* makeFailed
  const { wrap, unwrap } = makeWrapping(seal, keyring)
  const open = new Map<TenantId, Aead.Key>()
  // Making a key and changing the master key that wraps new ones exclude each other.
  const changing = yield* Semaphore.make(1)

  const remember = (tenantId: TenantId, key: Aead.Key) => {
    const [oldest] = open.keys()
    if (open.size >= maxOpen && oldest !== undefined) open.delete(oldest)
    open.set(tenantId, key)
    return key
  }

  const load = Effect.fnUntraced(function* (tenantId: TenantId) {
    const [row] = yield* Effect.mapError(
      sql<DataKeyRow>`SELECT * FROM vault_data_keys WHERE tenant_id = ${tenantId}`,
      failed("open a data key"),
    )
    return row === undefined ? undefined : remember(tenantId, yield* importKey(yield* unwrap(row)))
  })

  const create = Effect.fnUntraced(function* (tenantId: TenantId) {
    const master = keyring.current()
    const bytes = yield* random.randomBytes(Aead.aes256Gcm.keyLength)
    const sealed = yield* wrap(bytes, tenantId, master)
    const row = { tenant_id: tenantId, key_id: master.keyId, sealed }
    yield* Effect.mapError(
      sql`INSERT INTO vault_data_keys ${sql.insert(row)}`,
      failed("make a data key"),
    )
    return remember(tenantId, yield* importKey(bytes))
  })

  const rewrapPage = Effect.gen(function* () {
    const master = keyring.current()
    const rows = yield* sql<DataKeyRow>`
      SELECT * FROM vault_data_keys WHERE key_id <> ${master.keyId} LIMIT ${rewrapSize}`
    for (const row of rows) {
      const sealed = yield* wrap(yield* unwrap(row), row.tenant_id, master)
      yield* sql`
        UPDATE vault_data_keys SET key_id = ${master.keyId}, sealed = ${sealed}
        WHERE tenant_id = ${row.tenant_id}`
    }
    return rows.length
  }).pipe(
    sql.withTransaction,
    Effect.catchTag("SqlError", (error) => Effect.fail(failed("wrap data keys")(error))),
  )

  return {
    /** A tenant's data key, or `undefined` when it has none and so no secrets. */
    find: (tenantId: TenantId) =>
      Effect.suspend(() => {
        const key = open.get(tenantId)
        return key === undefined ? load(tenantId) : Effect.succeed(key)
      }),
    /** A tenant's data key, made if need be. */
    obtain: Effect.fnUntraced(function* (tenantId: TenantId) {
      const key = open.get(tenantId)
      if (key !== undefined) return key
      return yield* changing.withPermit(
        Effect.gen(function* () {
          return (yield* load(tenantId)) ?? (yield* create(tenantId))
        }),
      )
    }),
    /** Wraps some of the keys that the current master key does not wrap yet; how many. */
    rewrapSome: rewrapPage,
    /** Runs while no data key is being made. */
    exclusively: changing.withPermit,
  }
})

/** @see makeDataKeys */
export type DataKeys = Effect.Success<ReturnType<typeof makeDataKeys>>
