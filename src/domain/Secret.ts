/**
 * Names and bounds of secrets, and what may be told about one without telling it.
 */
import * as Schema from "effect/Schema"

import { isNoToken } from "./Token.ts"

/** Names a secret within its tenant. */
export const SecretName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_.-]{1,128}$/, {
    expected: "1 to 128 characters out of A-Z, a-z, 0-9, _, . and -",
  }),
).pipe(Schema.brand("SecretName"))
/** @see {@link SecretName} */
export type SecretName = typeof SecretName.Type

/** A secret as a request names it that stores or asks for it. What looks like a token is refused. */
export const GivenSecretName = SecretName.check(isNoToken)

/** Largest secret, in UTF-8 bytes. */
export const maxSecretBytes = 65_536

/** Secrets one tenant may have. */
export const maxSecrets = 1000

/** A secret as `GET /v1/secrets` lists it. */
export interface SecretView {
  readonly name: SecretName
  /** When the present value was stored: milliseconds since the epoch. */
  readonly storedAt: number
}
