/**
 * What people read when a token is refused: what was wrong and what to do, and never the token
 * (promise 8).
 */
import { assert, it } from "vitest"

import {
  Forbidden,
  InvalidToken,
  RateExceeded,
  RootNotAttenuable,
  TokenNotFound,
  TooDeep,
  TooManyTokens,
  TooManyUnstored,
} from "../../src/kernel/capability/CapabilityManager.ts"
import { ParentGone } from "../../src/kernel/capability/TokenStore.ts"

const cases: ReadonlyArray<readonly [{ readonly message: string }, RegExp]> = [
  [new InvalidToken({ reason: "expired" }), /expired; .*new one/],
  [new InvalidToken({ reason: "unknown" }), /not known; .*mistyped or revoked/],
  [new Forbidden({ reason: "permission", permission: "kill" }), /does not hold .*\bkill$/],
  [new Forbidden({ reason: "service", permission: "kill" }), /holds .*kill, .*another service$/],
  [new RateExceeded({ retryAfterMs: 51 }), /again in 51 ms/],
  [new TokenNotFound({ tokenHash: "ab12" }), /no token .*ab12/],
  [new TooManyTokens({ maximum: 51 }), /at most 51 tokens; revoke/],
  [new TooDeep({ maximum: 51 }), /attenuated at most 51 times/],
  [new RootNotAttenuable(), /root token cannot be attenuated; grant/],
  [new TooManyUnstored({ maximum: 51 }), /storage fails.* 51 tokens .*later/],
  [new ParentGone({ parent: "ab12" }), /made from .*revoked or .*expired/],
]

it.each(cases)("$_tag says what was wrong", (error, message) => {
  assert.match(error.message, message)
})
