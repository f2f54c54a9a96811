/**
 * What the composition gives the kernel and its plugins before any of them starts: the hash, the
 * randomness and the ciphers of this process, and the secrets of its data directory.
 */
import * as Aead from "effect/crypto/Aead"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

import type { Config } from "./Config.ts"
import { layerMasterKeyFile, layerMasterKeysFixed, parseMasterKey } from "./MasterKeyFile.ts"
import * as NodeDigest from "./NodeDigest.ts"
import * as RootTokenFile from "./RootTokenFile.ts"

/** The keys from the environment, or those of the file in `directory`. */
const layerMasterKeys = (directory: string, { masterKey, masterKeyPrevious }: Config) =>
  Layer.unwrap(
    Effect.gen(function* () {
      if (masterKey === undefined) return layerMasterKeyFile(directory)
      const newest = yield* parseMasterKey(Redacted.value(masterKey), "SOLO_MASTER_KEY")
      if (masterKeyPrevious === undefined) return layerMasterKeysFixed([newest])
      const previous = yield* parseMasterKey(
        Redacted.value(masterKeyPrevious),
        "SOLO_MASTER_KEY_PREVIOUS",
      )
      return layerMasterKeysFixed([newest, previous])
    }),
  )

/** Everything that is there before the first plugin. */
export const layerGiven = (directory: string, config: Config) =>
  Layer.mergeAll(
    NodeDigest.layer,
    RootTokenFile.layer(directory, config.rootToken),
    layerMasterKeys(directory, config),
    Aead.layerWebCrypto,
  ).pipe(Layer.provideMerge(SecureRandom.layerWebCrypto))
