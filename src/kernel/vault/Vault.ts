/**
 * Tenants' secrets: sealed on disk, opened only for a service whose spec names them (promises 1,
 * 2, 6 and 8).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

import type { ServiceName, TenantId } from "../../domain/Identifier.ts"
import type { SecretName, SecretView } from "../../domain/Secret.ts"
import type { AppendError } from "../log/EventStore.ts"
import type { StorageError } from "../log/Storage.ts"
import type { Caller } from "../services/Deployer.ts"
import type { MasterKeysKept } from "./MasterKeys.ts"

/** The vault was sealed with another master key. Nothing was written. */
export class WrongMasterKey extends Schema.TaggedError<WrongMasterKey>()("WrongMasterKey", {
  /** Whether there was none, so that one had to be made up. */
  lost: Schema.Boolean,
}) {
  override get message(): string {
    const what = this.lost
      ? "the master key is missing, and this database was sealed with one"
      : "the master key does not open this vault, which was sealed with another one"
    return `${what}; give the kernel that key again (SOLO_MASTER_KEY, or the file master-key in the data directory; docs/operations.md if it is gone for good)`
  }
}

/** The tenant has no such secret. */
export class SecretNotFound extends Schema.TaggedError<SecretNotFound>()("SecretNotFound", {
  name: Schema.String,
}) {
  override get message(): string {
    return `there is no secret ${this.name}`
  }
}

/** The value is larger than a secret may be. */
export class SecretTooLarge extends Schema.TaggedError<SecretTooLarge>()("SecretTooLarge", {
  bytes: Schema.Int,
  maximum: Schema.Int,
}) {
  override get message(): string {
    return `the secret has ${this.bytes} bytes, it may have at most ${this.maximum}`
  }
}

/** The tenant has as many secrets as it may. */
export class TooManySecrets extends Schema.TaggedError<TooManySecrets>()("TooManySecrets", {
  maximum: Schema.Int,
}) {
  override get message(): string {
    return `the tenant may have at most ${this.maximum} secrets; revoke one first`
  }
}

/** The service's spec does not name the secret. Whether there is such a secret does not show. */
export class SecretAccessDenied extends Schema.TaggedError<SecretAccessDenied>()(
  "SecretAccessDenied",
  { name: Schema.String },
) {
  override get message(): string {
    return `the service may not read the secret ${this.name}: its spec does not name it`
  }
}

/** What is stored does not open: it was changed, or moved from elsewhere. */
export class SecretDamaged extends Schema.TaggedError<SecretDamaged>()("SecretDamaged", {
  name: Schema.String,
}) {
  override get message(): string {
    return `the secret ${this.name} is damaged; store it again`
  }
}

/** A tenant's data key does not open: its row was changed. Its secrets cannot be read. */
export class DataKeyDamaged extends Schema.TaggedError<DataKeyDamaged>()("DataKeyDamaged", {
  tenantId: Schema.String,
}) {
  override get message(): string {
    return `the data key of the tenant ${this.tenantId} is damaged; restore the database from a backup`
  }
}

/** Why a secret cannot be told. */
export type RetrieveError = SecretNotFound | SecretDamaged | StorageError

/** Why a secret was not stored. */
export type StoreSecretError = SecretTooLarge | TooManySecrets | DataKeyDamaged | AppendError

/** Why the master key is not replaced, or not all the way. */
export type RotateError = MasterKeysKept | DataKeyDamaged | AppendError

/** The vault. */
export class Vault extends Context.Service<
  Vault,
  {
    /** Gives a secret a new value; durable when it returns. */
    readonly store: (
      caller: Caller,
      name: SecretName,
      value: Redacted.Redacted<string>,
    ) => Effect.Effect<void, StoreSecretError>
    /** The value, for the kernel's own use: no gateway answers it. */
    readonly retrieve: (
      caller: Caller,
      name: SecretName,
    ) => Effect.Effect<Redacted.Redacted<string>, RetrieveError>
    /** The value, for a service whose spec names `granted`. */
    readonly read: (
      service: ServiceName,
      granted: ReadonlyArray<string>,
      name: string,
    ) => Effect.Effect<Redacted.Redacted<string>, SecretAccessDenied | RetrieveError>
    /** Whether a secret opens; tells nothing and records nothing. For verification. */
    readonly check: (tenantId: TenantId, name: SecretName) => Effect.Effect<void, RetrieveError>
    readonly exists: (tenantId: TenantId, name: SecretName) => Effect.Effect<boolean, StorageError>
    /** A tenant's secrets in order of their names, never with a value. */
    readonly list: (
      tenantId: TenantId,
      options: { readonly after?: SecretName | undefined; readonly limit: number },
    ) => Effect.Effect<ReadonlyArray<SecretView>, StorageError>
    /** Removes a secret; durable when it returns. Its ciphertext is overwritten soon after. */
    readonly revoke: (
      caller: Caller,
      name: SecretName,
    ) => Effect.Effect<void, SecretNotFound | AppendError>
    /**
     * Replaces the master key while everything goes on; how many data keys were wrapped anew. A
     * rotation that was cut short is finished at the next start, or by asking again.
     */
    readonly rotateMasterKey: Effect.Effect<number, RotateError>
    /** Finishes a rotation that was cut short; where none was, nothing is logged. */
    readonly resumeRotation: Effect.Effect<void, RotateError>
    /** Returns when everything accepted before it is durable and what was removed is erased. */
    readonly flush: Effect.Effect<void, StorageError>
  }
>()("solo/kernel/vault/Vault") {}
