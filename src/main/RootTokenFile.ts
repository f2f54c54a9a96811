/**
 * Where the root token comes from: the configuration, or a file made once in the data directory.
 * After that only its hash is kept; it appears in no log, error or event (promise 8).
 */
import { hash, timingSafeEqual } from "node:crypto"
import { join } from "node:path"

import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"

import { tokenBytes, tokenPrefix } from "../domain/Token.ts"
import { RootToken, RootTokenKept } from "../kernel/capability/RootToken.ts"
import { closeToOthers, fileTrouble, readOwnFile, writeAtomically } from "./AtomicFile.ts"
import { DiskFull, isDiskFull } from "./DiskFull.ts"

/** What a root token looks like: visible ASCII, so that it fits into a header. */
export const tokenPattern = /^[!-~]{32,1024}$/

/** A file with a secret does not hold one. */
export class SecretFileInvalid extends Schema.TaggedError<SecretFileInvalid>()(
  "SecretFileInvalid",
  { path: Schema.String, reason: Schema.String },
) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

const failed = (path: string) => (cause: unknown) =>
  isDiskFull(cause)
    ? new DiskFull({ path })
    : new SecretFileInvalid({ path, reason: fileTrouble(cause) })

const close = Effect.fnUntraced(function* (path: string) {
  const wasOpen = yield* Effect.tryPromise({
    try: () => closeToOthers(path),
    catch: failed(path),
  })
  if (!wasOpen) return
  yield* Effect.logWarning(`${path} was open to other users of this machine; it is closed now`)
})

/** A new token, which looks like every other one. */
const generate = Effect.map(
  SecureRandom.SecureRandom.use((random) => random.randomBytes(tokenBytes)),
  (bytes) => tokenPrefix + Base64Url.encode(bytes),
)

/** The token in `<directory>/root-token`; made, durably and with mode 0600, where there is none. */
export const readOrGenerate = Effect.fn("RootTokenFile.readOrGenerate")(function* (
  directory: string,
) {
  const path = join(directory, "root-token")
  const stored = yield* Effect.tryPromise({ try: () => readOwnFile(path), catch: failed(path) })
  if (stored === undefined) {
    const token = yield* generate
    yield* Effect.tryPromise({
      try: () => writeAtomically(path, `${token}\n`),
      catch: failed(path),
    })
    yield* Effect.logInfo(`the root token was generated into ${path}`)
    return Redacted.make(token, { label: "root token" })
  }
  yield* close(path)
  const token = stored.trim()
  if (!tokenPattern.test(token)) {
    const reason =
      "holds no root token (at least 32 characters without spaces); delete it to have a new one generated"
    return yield* new SecretFileInvalid({ path, reason })
  }
  return Redacted.make(token, { label: "root token" })
})

const digest = (text: string) => hash("sha256", text, "buffer")

const fixed = new RootTokenKept({
  reason: "fixed",
  message: "the root token was given as SOLO_ROOT_TOKEN; change it there and start again",
})

/** Writes a new token in place of the one in the file. */
const replace = Effect.fnUntraced(function* (path: string) {
  const token = yield* generate
  yield* Effect.tryPromise({
    try: () => writeAtomically(path, `${token}\n`),
    catch: (cause) =>
      new RootTokenKept({
        reason: "storage",
        message: `the new root token could not be written: ${(cause as Error).message}`,
      }),
  })
  return Redacted.make(token, { label: "root token" })
})

/** Provides {@link RootToken}: the configured token, or the one in the data directory. */
export const layer = (directory: string, configured: Redacted.Redacted | undefined) =>
  Layer.effect(
    RootToken,
    Effect.gen(function* () {
      const oneAtATime = yield* Semaphore.make(1)
      const random = yield* SecureRandom.SecureRandom
      let expected = digest(Redacted.value(configured ?? (yield* readOrGenerate(directory))))
      const rotated = replace(join(directory, "root-token")).pipe(
        Effect.provideService(SecureRandom.SecureRandom, random),
        Effect.tap((token) =>
          Effect.sync(() => {
            expected = digest(Redacted.value(token))
          }),
        ),
      )
      return RootToken.of({
        verify: (presented) => {
          const bytes = Buffer.from(presented, "hex")
          return bytes.length === expected.length && timingSafeEqual(bytes, expected)
        },
        rotate:
          configured === undefined
            ? oneAtATime.withPermit(Effect.uninterruptible(rotated))
            : Effect.fail(fixed),
      })
    }),
  )
