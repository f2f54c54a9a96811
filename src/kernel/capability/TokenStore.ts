/**
 * Tokens on disk: one row per token, under its hash, written in one transaction with the event that
 * says so. It owns durability only; what is good now is the `CapabilityManager`'s answer.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import type { Capability, TokenHash } from "../../domain/Capability.ts"
import type { TenantId } from "../../domain/Identifier.ts"
import type { AppendError } from "../log/EventStore.ts"
import type { StorageError } from "../log/Storage.ts"

/** The token it was to be attenuated from is not there any more. Nothing was stored. */
export class ParentGone extends Schema.TaggedError<ParentGone>()("ParentGone", {
  parent: Schema.String,
}) {
  override get message(): string {
    return "the token it was made from has been revoked or has expired"
  }
}

/** The capability does not fit its schema. Nothing was stored. */
export class InvalidCapability extends Schema.TaggedError<InvalidCapability>()(
  "InvalidCapability",
  { message: Schema.String },
) {}

/** Why a token was not stored. */
export type StoreTokenError = AppendError | ParentGone | InvalidCapability

/** What a restoration found. */
export interface Restored {
  /** The tokens that are still good, parents before their children. */
  readonly tokens: ReadonlyArray<Capability>
  /** Rows past their time, which the next cleanup removes. */
  readonly expired: number
  /** Rows skipped: malformed, wider than their parent, or without it. */
  readonly unreadable: number
}

/** Who revokes what, for the event. */
export interface Revocation {
  readonly tokenHash: TokenHash
  readonly tenantId: TenantId
  readonly actor: string
  /** How many tokens go with it. */
  readonly descendants: number
}

/** Tokens on disk. */
export class TokenStore extends Context.Service<
  TokenStore,
  {
    /** Stores the row and `capability_granted` together; durable when it returns. */
    readonly storeToken: (capability: Capability) => Effect.Effect<void, StoreTokenError>
    /**
     * Reads every token that is good at `now`. A row that cannot be used costs itself only, and
     * what was made from it. A missing table is an empty one, with a warning.
     */
    readonly restoreAllTokens: (now: number) => Effect.Effect<Restored, StorageError>
    /**
     * Removes the row, the rows of all its descendants, and records `capability_revoked`, in one
     * transaction; durable when it returns. A row that is not there is removed all the same.
     */
    readonly revokeToken: (revocation: Revocation) => Effect.Effect<void, AppendError>
    readonly tokenExists: (tokenHash: TokenHash) => Effect.Effect<boolean, StorageError>
    /** The hashes of one tenant's stored tokens after `after`, in order, at most `limit`. */
    readonly tokensOf: (
      tenantId: TenantId,
      options: { readonly after?: TokenHash | undefined; readonly limit: number },
    ) => Effect.Effect<ReadonlyArray<TokenHash>, StorageError>
    /** Removes the rows that have expired by `now`; how many. */
    readonly cleanupExpired: (now: number) => Effect.Effect<number, StorageError>
    /** Returns when everything accepted before it is durable or refused. */
    readonly flush: Effect.Effect<void, StorageError>
  }
>()("solo/kernel/TokenStore") {}
