/**
 * Who may do what: grants tokens, judges those presented, takes them back (promises 1, 2, 6, 8).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

import {
  type AttenuationRequest,
  type Bearer,
  type Capability,
  type Need,
  Permission,
  type TokenHash,
  type TokenRequest,
  type WouldWiden,
} from "../../domain/Capability.ts"
import type { TenantId } from "../../domain/Identifier.ts"
import type { AppendError } from "../log/EventStore.ts"
import type { StorageError } from "../log/Storage.ts"
import type { RootTokenKept } from "./RootToken.ts"

/** The token presented is not good: nobody granted it, it was revoked, or its time is over. */
export class InvalidToken extends Schema.TaggedError<InvalidToken>()("InvalidToken", {
  reason: Schema.Literals(["unknown", "expired"]),
}) {
  override get message(): string {
    return this.reason === "expired"
      ? "the token has expired; ask for a new one"
      : "the token is not known; it may be mistyped or revoked"
  }
}

/** The token is good, but not for this. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {
  /** `tenant`: the request names another tenant, of which nothing may show: answer "not found". */
  reason: Schema.Literals(["tenant", "permission", "service"]),
  permission: Permission,
}) {
  override get message(): string {
    return this.reason === "permission"
      ? `the token does not hold the permission ${this.permission}`
      : `the token holds the permission ${this.permission}, but not here: it is bound to another ${this.reason}`
  }
}

/** The token, or one it was made from, was presented more often than it may be. */
export class RateExceeded extends Schema.TaggedError<RateExceeded>()("RateExceeded", {
  /** Milliseconds until it may be presented again. */
  retryAfterMs: Schema.Int,
}) {
  override get message(): string {
    return `the token may be presented again in ${this.retryAfterMs} ms`
  }
}

/** The tenant has no such token. */
export class TokenNotFound extends Schema.TaggedError<TokenNotFound>()("TokenNotFound", {
  tokenHash: Schema.String,
}) {
  override get message(): string {
    return `there is no token with the hash ${this.tokenHash}`
  }
}

/** The tenant has as many tokens as it may. */
export class TooManyTokens extends Schema.TaggedError<TooManyTokens>()("TooManyTokens", {
  maximum: Schema.Int,
}) {
  override get message(): string {
    return `the tenant may have at most ${this.maximum} tokens; revoke some, or let them expire`
  }
}

/** The token was attenuated from one that was attenuated, and so on, too often. */
export class TooDeep extends Schema.TaggedError<TooDeep>()("TooDeep", { maximum: Schema.Int }) {
  override get message(): string {
    return `a token can be attenuated at most ${this.maximum} times in a row`
  }
}

/** The root token itself is never narrowed: it grants. */
export class RootNotAttenuable extends Schema.TaggedError<RootNotAttenuable>()(
  "RootNotAttenuable",
  {},
) {
  override get message(): string {
    return "the root token cannot be attenuated; grant a token with it instead"
  }
}

/** Storage fails, and as many tokens as may wait for it already do. Nothing was granted. */
export class TooManyUnstored extends Schema.TaggedError<TooManyUnstored>()("TooManyUnstored", {
  maximum: Schema.Int,
}) {
  override get message(): string {
    return `storage fails, and ${this.maximum} tokens wait to be stored already; try again later`
  }
}

/** A new token. */
export interface Granted {
  /** The secret. It is nowhere else: whoever loses it needs a new one. */
  readonly token: Redacted.Redacted<string>
  readonly capability: Capability
  /** `false` while it is in memory only; it is stored as soon as storage works again. */
  readonly durable: boolean
}

/** A token as it is listed. */
export interface TokenView {
  readonly capability: Capability
  readonly durable: boolean
}

/** Why a token was not granted. */
export type GrantError = InvalidToken | WouldWiden | TooManyTokens | TooManyUnstored | AppendError

/** Which tokens to list. */
export interface ListTokens {
  /** Only tokens whose hash sorts after this one. */
  readonly after?: TokenHash | undefined
  readonly limit: number
}

/** Grants, judges, lists and revokes tokens. */
export class CapabilityManager extends Context.Service<
  CapabilityManager,
  {
    /**
     * Who presents `token`. No I/O. Counts against the rate limits of the token and of those it
     * was made from.
     */
    readonly authenticate: (
      token: Redacted.Redacted<string>,
    ) => Effect.Effect<Bearer, InvalidToken | RateExceeded>
    /** Whether `bearer` may do this, now. No I/O. */
    readonly authorize: (
      bearer: Bearer,
      need: Need,
    ) => Effect.Effect<void, InvalidToken | Forbidden>
    /** `authenticate`, then `authorize`. */
    readonly verify: (
      token: Redacted.Redacted<string>,
      need: Need,
    ) => Effect.Effect<Bearer, InvalidToken | RateExceeded | Forbidden>
    /**
     * The synchronous core of `verify`: the capability when the token is good for `need`. It knows
     * neither the root token nor rate limits, and records nothing.
     */
    readonly verifyUnsafe: (token: string, need: Need) => Capability | undefined
    /**
     * Grants a token in `tenantId`: by root anything, by another token no more than it holds
     * itself. The new token has a life of its own. When storing it fails it is good all the same,
     * but not `durable`, and stored later.
     */
    readonly grant: (
      granter: Bearer,
      tenantId: TenantId,
      request: TokenRequest,
    ) => Effect.Effect<Granted, GrantError | Forbidden>
    /** Makes a narrower token, which dies with the one it is made from. */
    readonly attenuate: (
      bearer: Bearer,
      request: AttenuationRequest,
    ) => Effect.Effect<Granted, GrantError | TooDeep | RootNotAttenuable>
    /**
     * Takes a token back, and all that were attenuated from it; durable when it returns, with how
     * many are gone. If that cannot be stored, the tokens stay as they were.
     */
    readonly revoke: (
      bearer: Bearer,
      tenantId: TenantId,
      tokenHash: TokenHash,
    ) => Effect.Effect<number, TokenNotFound | AppendError>
    /** A tenant's tokens in order of their hashes. */
    readonly list: (
      tenantId: TenantId,
      options: ListTokens,
    ) => Effect.Effect<ReadonlyArray<TokenView>>
    /** The tenants that have tokens. */
    readonly tenants: Effect.Effect<ReadonlyArray<TenantId>>
    /** The time by which tokens expire, in milliseconds since 1970: it never runs backwards. */
    readonly now: Effect.Effect<number>
    /** Replaces the root token. Only root may ask. */
    readonly rotateRoot: (
      bearer: Bearer,
    ) => Effect.Effect<Redacted.Redacted<string>, RootTokenKept | Forbidden>
    /** Removes expired tokens from memory and disk; how many from disk. */
    readonly cleanup: Effect.Effect<number, StorageError>
    /** Stores what is not stored yet; fails when that is impossible. */
    readonly flush: Effect.Effect<void, AppendError>
  }
>()("solo/kernel/capability/CapabilityManager") {}
