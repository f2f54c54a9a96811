/**
 * The replacement of the master key: the new one is kept beside the old, everything is wrapped
 * anew page by page while the vault is in use, then the old one is forgotten. Cut short anywhere,
 * it is finished at the next start or by asking again.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { SqlClient } from "effect/sql/SqlClient"

import { draft } from "../../domain/Event.ts"
import { EventStore } from "../log/EventStore.ts"
import type { DataKeys } from "./DataKeys.ts"
import type { MasterKeyring } from "./MasterKeyring.ts"
import { MasterKeys } from "./MasterKeys.ts"

/** Makes the rotation, after finishing one that was cut short. */
export const makeMasterKeyRotation = Effect.fnUntraced(function* (
  keyring: MasterKeyring,
  dataKeys: DataKeys,
) {
  const sql = yield* SqlClient
  const events = yield* EventStore
  const ring = yield* MasterKeys
  const rotating = yield* Semaphore.make(1)

  const finish = Effect.gen(function* () {
    let wrapped = 0
    for (let some = -1; some !== 0; wrapped += some) some = yield* dataKeys.rewrapSome
    const { keyId } = keyring.current()
    // A data key that an old master key still wraps would refuse this.
    yield* events.append(
      [draft("master_key_rotated", { keys: wrapped })],
      Effect.asVoid(sql`DELETE FROM vault_master_keys WHERE key_id <> ${keyId}`),
    )
    keyring.forgetOthers()
    yield* ring.retire
    return wrapped
  })

  if (keyring.unfinished) {
    const wrapped = yield* finish
    yield* Effect.logInfo("finished the replacement of the master key").pipe(
      Effect.annotateLogs({ wrapped }),
    )
  }

  const rotate = Effect.gen(function* () {
    const [newest, older] = yield* ring.keys
    const next = older === undefined ? yield* ring.add : newest
    yield* dataKeys.exclusively(keyring.adopt(next))
    return yield* finish
  })

  return { rotateMasterKey: rotating.withPermit(Effect.uninterruptible(rotate)) }
})
