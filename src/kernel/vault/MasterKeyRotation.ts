/**
 * The replacement of the master key: the new one is kept beside the old, everything is wrapped
 * anew page by page while the vault is in use, then the old one is forgotten. Cut short anywhere,
 * it is finished by asking to resume it or to rotate again.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { SqlClient } from "effect/sql/SqlClient"

import { draft } from "../../domain/Event.ts"
import { EventStore } from "../log/EventStore.ts"
import type { DataKeys } from "./DataKeys.ts"
import type { MasterKeyring } from "./MasterKeyring.ts"
import { MasterKeys } from "./MasterKeys.ts"

/** Makes the rotation; one that was cut short waits to be resumed. */
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
    // Where the database has no other key, this is done and in the log already.
    if (keyring.hasOthers()) {
      // A data key that an old master key still wraps would refuse this.
      yield* events.append(
        [draft("master_key_rotated", { keys: wrapped })],
        Effect.asVoid(sql`DELETE FROM vault_master_keys WHERE key_id <> ${keyId}`),
      )
      keyring.forgetOthers()
    }
    yield* ring.retire
    return wrapped
  })

  const resume = Effect.gen(function* () {
    if (keyring.hasOthers()) {
      const wrapped = yield* finish
      yield* Effect.logInfo("finished the replacement of the master key").pipe(
        Effect.annotateLogs({ wrapped }),
      )
    } else if ((yield* ring.keys).length > 1) {
      yield* ring.retire
    }
  })

  const rotate = Effect.gen(function* () {
    const [newest, older] = yield* ring.keys
    const next = older === undefined ? yield* ring.add : newest
    yield* dataKeys.exclusively(keyring.adopt(next))
    return yield* finish
  })

  return {
    rotateMasterKey: rotating.withPermit(Effect.uninterruptible(rotate)),
    resumeRotation: rotating.withPermit(Effect.uninterruptible(resume)),
  }
})
