/**
 * The port to the master keys that seal the vault: one as a rule, two while one replaces the other.
 * It owns where they are kept and that this survives a crash; what they seal is the vault's
 * business.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** Bytes in a master key. */
export const masterKeyBytes = 32

/** A master key: exactly `masterKeyBytes` bytes. */
export type MasterKey = Redacted.Redacted<Uint8Array>

/** The keys are as they were. */
export class MasterKeysKept extends Schema.TaggedError<MasterKeysKept>()("MasterKeysKept", {
  /** `fixed`: they were given to the kernel, which cannot change them. `storage`: writing failed. */
  reason: Schema.Literals(["fixed", "storage"]),
  /** What to do instead. */
  message: Schema.String,
}) {}

/** The master keys. */
export class MasterKeys extends Context.Service<
  MasterKeys,
  {
    /** Newest first. The newest seals; older ones only open what is not sealed anew yet. */
    readonly keys: Effect.Effect<readonly [MasterKey, ...Array<MasterKey>]>
    /** Whether the key was made because there was none, and is not kept yet. */
    readonly isNew: Effect.Effect<boolean>
    /**
     * Keeps a key that was made because there was none, durably; without effect for any other.
     * Only once the database is known to be sealed by no other key.
     */
    readonly keep: Effect.Effect<void, MasterKeysKept>
    /** Makes a new key and keeps it before the others; durable when it returns. */
    readonly add: Effect.Effect<MasterKey, MasterKeysKept>
    /** Forgets every key but the newest, durably. Only after nothing needs them any more. */
    readonly retire: Effect.Effect<void, MasterKeysKept>
  }
>()("solo/kernel/vault/MasterKeys") {}
