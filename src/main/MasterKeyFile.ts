/**
 * Keeps the vault's master keys: in the file `master-key` of the data directory, newest first, one
 * per line in base64, or fixed, as the environment gave them. It owns the file and its safety: it
 * is replaced whole or not at all, and only its owner can read it.
 */
import { join } from "node:path"

import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

import {
  type MasterKey,
  masterKeyBytes,
  MasterKeys,
  MasterKeysKept,
} from "../kernel/vault/MasterKeys.ts"
import { closeToOthers, fileTrouble, readOwnFile, writeAtomically } from "./AtomicFile.ts"

/** The master key cannot be used as it is. */
export class BadMasterKey extends Schema.TaggedError<BadMasterKey>()("BadMasterKey", {
  /** Where it comes from: a path, or the name of a variable. */
  source: Schema.String,
  message: Schema.String,
}) {}

/** Name of the file in the data directory. */
export const masterKeyFile = "master-key"

const label = { label: "master key" }

/** Reads a key: 32 bytes in base64. The message never shows any of it. */
export const parseMasterKey = (
  text: string,
  source: string,
): Effect.Effect<MasterKey, BadMasterKey> =>
  Effect.suspend(() => {
    const bytes = Buffer.from(text.trim(), "base64")
    const complete = bytes.length === masterKeyBytes && bytes.toString("base64") === text.trim()
    return complete
      ? Effect.succeed(Redacted.make<Uint8Array>(new Uint8Array(bytes), label))
      : Effect.fail(
          new BadMasterKey({
            source,
            message: `${source}: expected 32 bytes in base64 (44 characters)`,
          }),
        )
  })

const write = (path: string, keys: ReadonlyArray<MasterKey>) =>
  Effect.tryPromise({
    try: () => {
      const lines = keys.map((key) => `${Buffer.from(Redacted.value(key)).toString("base64")}\n`)
      return writeAtomically(path, lines.join(""))
    },
    catch: (cause) =>
      new MasterKeysKept({
        reason: "storage",
        message: `${path} could not be written: ${fileTrouble(cause)}`,
      }),
  })

const generate = (random: SecureRandom.SecureRandom["Service"]): Effect.Effect<MasterKey> =>
  Effect.map(random.randomBytes(masterKeyBytes), (bytes) => Redacted.make(bytes, label))

const read = Effect.fnUntraced(function* (path: string) {
  const cannot = (what: string) => (cause: unknown) =>
    new BadMasterKey({ source: path, message: `${path} cannot be ${what}: ${fileTrouble(cause)}` })
  const text = yield* Effect.tryPromise({
    try: () => readOwnFile(path),
    catch: cannot("read"),
  })
  if (text === undefined) return undefined
  const wasOpen = yield* Effect.tryPromise({
    try: () => closeToOthers(path),
    catch: cannot("closed to other users"),
  })
  if (wasOpen) {
    yield* Effect.logWarning(
      `${path} was open to other users of this machine; it is closed now, and a key that others have read is best replaced (docs/security.md)`,
    )
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "")
  return yield* Effect.forEach(lines.length === 0 ? [""] : lines, (line) =>
    Effect.mapError(parseMasterKey(line, path), ({ message, source }) => {
      const advice = "put the key back with which the database was sealed"
      return new BadMasterKey({ source, message: `${message}; ${advice}` })
    }),
  )
})

/**
 * Master keys in the data directory. Where there is none, one is made, and written once it is to be
 * kept: a start that is refused, as over a database sealed with a lost key, leaves no file behind.
 */
export const layerMasterKeyFile = (dataDirectory: string) =>
  Layer.effect(
    MasterKeys,
    Effect.gen(function* () {
      const path = join(dataDirectory, masterKeyFile)
      const fresh = generate(yield* SecureRandom.SecureRandom)
      const stored = yield* read(path)
      let isKept = stored !== undefined
      let ring = (stored ?? [yield* fresh]) as [MasterKey, ...Array<MasterKey>]
      const replace = (next: [MasterKey, ...Array<MasterKey>]) =>
        Effect.map(write(path, next), () => {
          ring = next
          isKept = true
        })
      return MasterKeys.of({
        keys: Effect.sync(() => ring),
        isNew: Effect.sync(() => !isKept),
        keep: Effect.suspend(() => (isKept ? Effect.void : replace(ring))),
        add: Effect.flatMap(fresh, (key) => Effect.as(replace([key, ...ring]), key)),
        retire: Effect.suspend(() => replace([ring[0]])),
      })
    }),
  )

/** Master keys that the environment gave: the one in force, and those it replaces. */
export const layerMasterKeysFixed = (keys: readonly [MasterKey, ...Array<MasterKey>]) =>
  Layer.succeed(MasterKeys, {
    keys: Effect.succeed(keys),
    isNew: Effect.succeed(false),
    keep: Effect.void,
    add: Effect.fail(
      new MasterKeysKept({
        reason: "fixed",
        message:
          "the master key comes from the environment; start the kernel with the new key in " +
          "SOLO_MASTER_KEY and this one in SOLO_MASTER_KEY_PREVIOUS",
      }),
    ),
    retire:
      keys.length > 1
        ? Effect.logInfo(
            "the former master key is no longer needed: remove SOLO_MASTER_KEY_PREVIOUS",
          )
        : Effect.void,
  })
