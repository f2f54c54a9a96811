/**
 * The secrets and ciphers that a kernel under test stands on: a root token and a master key in
 * memory, the same in every run, so that a restart opens what the run before sealed.
 */
import * as Aead from "effect/crypto/Aead"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

import { RootToken, RootTokenKept } from "../../src/kernel/capability/RootToken.ts"
import { masterKeyBytes, MasterKeys, MasterKeysKept } from "../../src/kernel/vault/MasterKeys.ts"
import { sha256 } from "./Sha256.ts"

/** The root token of kernels under test. */
const rootToken = "root-token-of-a-kernel-under-test-0123456789"

const message = "a kernel under test cannot change it"

/** All of them. */
export const layerSecrets = Layer.mergeAll(
  Layer.succeed(RootToken, {
    verify: (digest) => digest === sha256(rootToken),
    rotate: Effect.fail(new RootTokenKept({ reason: "fixed", message })),
  }),
  Layer.succeed(MasterKeys, {
    keys: Effect.succeed([Redacted.make(new Uint8Array(masterKeyBytes).fill(7))] as const),
    isNew: Effect.succeed(false),
    keep: Effect.void,
    add: Effect.fail(new MasterKeysKept({ reason: "fixed", message })),
    retire: Effect.void,
  }),
  Aead.layerWebCrypto.pipe(Layer.provideMerge(SecureRandom.layerWebCrypto)),
)
