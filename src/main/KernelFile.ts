/**
 * `kernel.json` in the data directory: how other programs find the running kernel. It is there
 * while the gateway listens; a clean shutdown removes it, `kill -9` leaves it behind.
 */
import * as fs from "node:fs/promises"
import { join } from "node:path"

import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import { fileTrouble, writeAtomically } from "./AtomicFile.ts"
import { DataDirectoryUnusable } from "./DataDirectory.ts"

const KernelJson = Schema.fromJsonString(
  Schema.Struct({ pid: Schema.Int, url: Schema.String, startedAt: Schema.String }),
)

const encode = Schema.encodeEffect(KernelJson)

const pathIn = (directory: string) => join(directory, "kernel.json")

const unusable = (directory: string) => (cause: unknown) =>
  new DataDirectoryUnusable({
    path: directory,
    reason: `its file kernel.json cannot be replaced: ${fileTrouble(cause)}`,
  })

/** Removes what an earlier kernel left behind. */
export const remove = (directory: string) =>
  Effect.tryPromise({
    try: () => fs.rm(pathIn(directory), { force: true }),
    catch: unusable(directory),
  })

/** Says that a kernel listens at `url`, mode 0600, until the scope closes. */
export const publish = Effect.fn("KernelFile.publish")(function* (directory: string, url: string) {
  const startedAt = DateTime.formatIso(yield* DateTime.now)
  const text = yield* Effect.orDie(encode({ pid: process.pid, url, startedAt }))
  yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => writeAtomically(pathIn(directory), `${text}\n`),
      catch: unusable(directory),
    }),
    () => Effect.orDie(remove(directory)),
  )
})
