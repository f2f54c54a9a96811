/**
 * Makes tokens: the secret, and the capability under its hash. Nothing else in Solo ever holds
 * the secret.
 */
import type * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"

import {
  type Capability,
  type Minting,
  TokenHash,
  type WouldWiden,
} from "../../domain/Capability.ts"
import { tokenBytes, tokenPrefix } from "../../domain/Token.ts"
import { Digest } from "../log/Digest.ts"

/** What a token of this name, made now, would be good for; or why it must not be. */
export type Terms = (minting: Minting) => Result.Result<Capability, WouldWiden>

/** Makes the mint. */
export const makeTokenMint = Effect.fnUntraced(function* (clock: Clock.Clock) {
  const random = yield* SecureRandom.SecureRandom
  const { sha256 } = yield* Digest
  return Effect.fnUntraced(function* (terms: Terms) {
    const token = tokenPrefix + Base64Url.encode(yield* random.randomBytes(tokenBytes))
    const tokenHash = TokenHash.make(sha256(token))
    const capability = yield* Effect.fromResult(
      terms({ tokenHash, now: clock.currentTimeMillisUnsafe() }),
    )
    return { token: Redacted.make(token, { label: "token" }), capability }
  })
})
