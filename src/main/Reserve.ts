/**
 * `reserve` in the data directory: a file that holds nothing but room. A start on a full disk gives
 * it up, so that storage can be opened, and takes back what is left of it once it is through. It
 * does not decide what a start needs, nor what happens where there is no room all the same.
 */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import { join } from "node:path"

import * as Effect from "effect/Effect"

import { fileTrouble } from "./AtomicFile.ts"
import { isDiskFull } from "./DiskFull.ts"

/** How much room the file holds, in bytes. */
export const reserveBytes = 1024 * 1024

/** How much room a start wants to find, in bytes: for SQLite's index, the first events, the mark. */
const wantedBytes = 256 * 1024

/** The file grows by pieces, so that it gets all the room there is, in bytes. */
const pieceBytes = 32 * 1024

/** How often what is missing of it is looked for. */
const interval = "1 minute"

/** Name of the file in the data directory. */
export const reserveFile = "reserve"

const hasRoom = async (directory: string): Promise<boolean> => {
  const probe = join(directory, `${reserveFile}.probe`)
  try {
    await fs.writeFile(probe, randomBytes(wantedBytes), { mode: 0o600 })
    return true
  } catch (cause) {
    if (isDiskFull(cause)) return false
    throw cause
  } finally {
    await fs.rm(probe, { force: true })
  }
}

/** Gives up the reserve if the disk is full. Whoever calls it must hold the directory. */
export const makeRoom = Effect.fn("Reserve.makeRoom")(function* (directory: string) {
  const isRoomy = yield* Effect.promise(() => hasRoom(directory).catch(() => true))
  if (isRoomy) return
  yield* Effect.logWarning("the disk is full: what needs room is refused until there is some")
  yield* Effect.ignore(
    Effect.tryPromise(() => fs.rm(join(directory, reserveFile), { force: true })),
  )
})

// A pipe or a link in its place is no place to write to, and must not be waited for either.
const flags =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NOFOLLOW |
  constants.O_NONBLOCK

// Zeros would take no room on file systems that compress, or leave holes.
const grow = async (directory: string): Promise<void> => {
  const file = await fs.open(join(directory, reserveFile), flags, 0o600)
  try {
    let { size } = await file.stat()
    while (size < reserveBytes) {
      const piece = randomBytes(Math.min(pieceBytes, reserveBytes - size))
      size += (await file.write(piece)).bytesWritten
    }
  } catch (cause) {
    if (!isDiskFull(cause)) throw cause
  } finally {
    await file.close()
  }
}

/** Takes for the reserve what it lacks, as far as there is room. Fails with why it cannot. */
const takeRoom = (directory: string): Effect.Effect<void, string> =>
  Effect.tryPromise({ try: () => grow(directory), catch: fileTrouble })

/** Takes the reserve, and again whenever there is room for what it lacks, until the scope closes. */
export const keepReserve = Effect.fn("Reserve.keepReserve")(function* (directory: string) {
  yield* Effect.catch(takeRoom(directory), (reason) =>
    Effect.logWarning(`no room is kept for a start on a full disk: ${reserveFile}: ${reason}`),
  )
  yield* Effect.ignore(takeRoom(directory)).pipe(
    Effect.delay(interval),
    Effect.forever,
    Effect.forkScoped,
  )
})
