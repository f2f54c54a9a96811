/**
 * The format of everything the vault seals: one byte of version, a fresh 96-bit nonce, AES-256-GCM
 * ciphertext and tag. What a text is and where it belongs is bound to it as associated data, so
 * that nothing opens in another's place.
 */
import * as Aead from "effect/crypto/Aead"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** The version of the format, and its first byte. */
const sealVersion = 1

const nonceBytes = Aead.aes256Gcm.nonceLength

/** It was sealed with another key, for another place, in another format, or it was changed. */
class Unopenable extends Schema.TaggedError<Unopenable>()("Unopenable", {}) {}

/** What a sealed text is, and whose: no two different ones spell the same. */
export type Binding = readonly [kind: "check" | "data-key" | "secret", ...Array<string | number>]

const associatedData = (binding: Binding): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(["solo", sealVersion, ...binding]))

/** Makes the two directions. */
export const makeSeal = Effect.gen(function* () {
  const aead = yield* Aead.Aead
  const random = yield* SecureRandom.SecureRandom

  return {
    seal: Effect.fnUntraced(function* (key: Aead.Key, plain: Uint8Array, binding: Binding) {
      const nonce = yield* random.randomBytes(nonceBytes)
      const aad = associatedData(binding)
      const sealed = yield* Effect.orDie(aead.encrypt(key, plain, { nonce, aad }))
      const bytes = new Uint8Array(1 + nonceBytes + sealed.length)
      bytes[0] = sealVersion
      bytes.set(nonce, 1)
      bytes.set(sealed, 1 + nonceBytes)
      return bytes
    }),

    open: Effect.fnUntraced(function* (key: Aead.Key, bytes: Uint8Array, binding: Binding) {
      if (bytes[0] !== sealVersion || bytes.length <= nonceBytes) return yield* new Unopenable()
      const nonce = bytes.subarray(1, 1 + nonceBytes)
      const aad = associatedData(binding)
      return yield* aead
        .decrypt(key, bytes.subarray(1 + nonceBytes), { nonce, aad })
        .pipe(
          Effect.catch((error) =>
            error.reason._tag === "DecryptionFailed" ? new Unopenable() : Effect.die(error),
          ),
        )
    }),
  }
})

/** @see makeSeal */
export type Seal = Effect.Success<typeof makeSeal>
