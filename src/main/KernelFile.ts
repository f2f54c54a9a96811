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
import { DiskFull, isDiskFull } from "./DiskFull.ts"

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

// A kernel that cannot be found this way is worth more than none.
const write = (directory: string, text: string) =>
  Effect.tryPromise({
    try: () => writeAtomically(pathIn(directory), text),
    catch: (cause) =>
      isDiskFull(cause) ? new DiskFull({ path: pathIn(directory) }) : unusable(directory)(cause),
  }).pipe(Effect.catchTag("DiskFull", ({ message }) => Effect.logWarning(message)))

/**
 * Says that a kernel listens at `url`, mode 0600, until the scope closes. Where the disk is full it
 * warns and says nothing.
 */
export const publish = Effect.fn("KernelFile.publish")(function* (directory: string, url: string) {
  const startedAt = DateTime.formatIso(yield* DateTime.now)
  const text = yield* Effect.orDie(encode({ pid: process.pid, url, startedAt }))
  yield* Effect.acquireRelease(write(directory, `${text}\n`), () => Effect.orDie(remove(directory)))
})
