/**
 * The master keys in use, by the ids under which rows name them. For each there is a row with a
 * text that only it opens: so a wrong key shows before anything is written, and the state of a
 * replacement is in the database, however it ends.
 */
import * as Aead from "effect/crypto/Aead"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"

import { makeFailed } from "../log/Storage.ts"
import { type MasterKey, MasterKeys } from "./MasterKeys.ts"
import type { Seal } from "./Seal.ts"
import { WrongMasterKey } from "./Vault.ts"

const keyIdBytes = 8

const checkText = new TextEncoder().encode("solo vault")

/** A master key in use. */
export interface Master {
  readonly keyId: string
  readonly key: Aead.Key
}

/** Makes a key of its bytes. */
export const importKey = (bytes: Uint8Array) => Effect.orDie(Aead.key(Aead.aes256Gcm, bytes))

const isSameKey = (left: MasterKey, right: MasterKey): boolean =>
  Mac.timingSafeEqual(Redacted.value(left), Redacted.value(right))

/** Finds out which key is which; refuses a set that lacks one. Only reads. */
const identify = Effect.fnUntraced(function* (
  seal: Seal,
  ring: ReadonlyArray<MasterKey>,
  masters: Map<string, Master>,
) {
  const sql = yield* SqlClient
  const lost = yield* (yield* MasterKeys).isNew
  const ids = new Map<MasterKey, string>()
  const rows = yield* sql<{
    readonly key_id: string
    readonly sealed: Uint8Array
  }>`SELECT key_id, sealed FROM vault_master_keys`
  for (const { key_id: keyId, sealed } of rows) {
    for (const candidate of ring) {
      const key = yield* importKey(Redacted.value(candidate))
      const opened = yield* Effect.result(seal.open(key, sealed, ["check", keyId]))
      if (Result.isFailure(opened)) continue
      masters.set(keyId, { keyId, key })
      ids.set(candidate, keyId)
    }
    if (!masters.has(keyId)) return yield* new WrongMasterKey({ lost })
  }
  const wrapping = yield* sql<{
    readonly key_id: string
  }>`SELECT DISTINCT key_id FROM vault_data_keys`
  if (wrapping.some((row) => !masters.has(row.key_id))) return yield* new WrongMasterKey({ lost })
  return ids
})

/** Opens the keyring; the newest key is current from the start. */
export const makeMasterKeyring = Effect.fnUntraced(function* (seal: Seal) {
  const sql = yield* SqlClient
  const random = yield* SecureRandom.SecureRandom
  const failed = yield* makeFailed
  const masterKeys = yield* MasterKeys
  const ring = yield* masterKeys.keys
  const masters = new Map<string, Master>()
  const ids = yield* identify(seal, ring, masters).pipe(
    Effect.catchTag("SqlError", (error) => Effect.fail(failed("open the vault")(error))),
  )

  const register = Effect.fnUntraced(function* (master: MasterKey) {
    const keyId = Hex.encode(yield* random.randomBytes(keyIdBytes))
    const key = yield* importKey(Redacted.value(master))
    const sealed = yield* seal.seal(key, checkText, ["check", keyId])
    yield* Effect.mapError(
      sql`INSERT INTO vault_master_keys ${sql.insert({ key_id: keyId, sealed })}`,
      failed("register the master key"),
    )
    const registered = { keyId, key }
    masters.set(keyId, registered)
    return registered
  })

  // Kept before anything is sealed with it, and not before it is known to be the right one.
  yield* masterKeys.keep
  let newest = ring[0]
  const newestId = ids.get(newest)
  let current = newestId === undefined ? yield* register(newest) : masters.get(newestId)!

  return {
    /** Whether the database still has a key that the current one replaces. */
    hasOthers: () => masters.size > 1,
    current: () => current,
    get: (keyId: string) => masters.get(keyId),
    /** Makes `master` the current key; the others still open. */
    adopt: Effect.fnUntraced(function* (master: MasterKey) {
      if (isSameKey(master, newest)) return
      current = yield* register(master)
      newest = master
    }),
    forgetOthers: () => {
      for (const keyId of masters.keys()) if (keyId !== current.keyId) masters.delete(keyId)
    },
  }
})

/** @see makeMasterKeyring */
export type MasterKeyring = Effect.Success<ReturnType<typeof makeMasterKeyring>>
