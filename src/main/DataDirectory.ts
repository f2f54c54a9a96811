/**
 * The directory where everything durable lives, held by one kernel at a time (promise 7). The
 * lock is SQLite's on `lock.db`: the operating system drops it when the process ends, however it
 * ends. `lock.json` beside it only says who holds it. What else is in the directory is not its
 * business.
 */
import type { BigIntStats } from "node:fs"
import * as fs from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"

import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

import { createClosed } from "../../plugins/sqlite/ClosedFile.ts"
import { fileTrouble, readOwnFile, writeAtomically } from "./AtomicFile.ts"
import { DiskFull, isDiskFull } from "./DiskFull.ts"
import { makeRoom } from "./Reserve.ts"

/** How long to try for the lock: long enough for several that start at once to sort it out. */
const lockPatienceMs = 1000

/** How often, every 50 ms, to look again for the name of whoever took the lock just now. */
const holderLooks = 10

/** Another kernel holds the data directory. */
export class DataDirectoryHeld extends Schema.TaggedError<DataDirectoryHeld>()(
  "DataDirectoryHeld",
  { path: Schema.String, pid: Schema.NullOr(Schema.Int) },
) {
  override get message(): string {
    const who =
      this.pid === null ? "another kernel" : `another kernel, the process with pid ${this.pid}`
    return `the data directory ${this.path} is held by ${who}; stop it, or choose another directory with SOLO_DATA_DIR`
  }
}

/** The data directory cannot be used. */
export class DataDirectoryUnusable extends Schema.TaggedError<DataDirectoryUnusable>()(
  "DataDirectoryUnusable",
  { path: Schema.String, reason: Schema.String },
) {
  override get message(): string {
    return `the data directory ${this.path} cannot be used: ${this.reason}; mend it, or choose another one with SOLO_DATA_DIR`
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "it cannot be made there",
  ENOTDIR: "something above it is not a directory",
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ELOOP: "its symbolic links go round in a circle",
  ENAMETOOLONG: "its name is too long",
}

const unusable = (path: string, cause: unknown): DataDirectoryUnusable | DiskFull => {
  if (isDiskFull(cause)) return new DiskFull({ path })
  const { code, message } = cause as NodeJS.ErrnoException
  return new DataDirectoryUnusable({ path, reason: reasons[code ?? ""] ?? message })
}

/** One of its own files cannot be made or used; none of them holds what is needed later. */
const unusableFile = (
  path: string,
  name: string,
  cause: unknown,
): DataDirectoryUnusable | DiskFull => {
  if (isDiskFull(cause)) return new DiskFull({ path: join(path, name) })
  return new DataDirectoryUnusable({
    path,
    reason: `its file ${name} cannot be used (${fileTrouble(cause)}); nothing is kept in it, so move it away and whatever begins with its name`,
  })
}

/**
 * Makes `path` and whatever is missing above it. Node's own recursive `mkdir` never returns where
 * a directory cannot hold files of its own, such as `/proc`.
 */
const make = async (path: string): Promise<void> => {
  try {
    await fs.mkdir(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "EEXIST") return
    if (code !== "ENOENT" || dirname(path) === path) throw error
    if (await isThere(dirname(path))) throw error
    await make(dirname(path))
    await fs.mkdir(path, { mode: 0o700 })
  }
}

const isThere = async (path: string): Promise<boolean> =>
  await fs.access(path).then(
    () => true,
    () => false,
  )

const prepare = Effect.fnUntraced(function* (path: string) {
  const stats: BigIntStats = yield* Effect.tryPromise({
    try: async () => {
      await make(path)
      return await fs.stat(path, { bigint: true })
    },
    catch: (cause) => unusable(path, cause),
  })
  if (!stats.isDirectory()) {
    return yield* new DataDirectoryUnusable({ path, reason: "it is not a directory" })
  }
  if ((stats.mode & 0o077n) !== 0n) {
    yield* Effect.logWarning(
      `the data directory ${path} is open to other users of this machine; close it with: chmod 700 ${path}`,
    )
  }
  yield* Effect.tryPromise({
    try: async () => {
      const probe = join(path, `.probe-${process.pid}`)
      try {
        await fs.writeFile(probe, "", { mode: 0o600 })
        await fs.rm(probe)
      } catch (cause) {
        // Whether there is room for what is needed shows when it is written.
        if (!isDiskFull(cause)) throw cause
      }
    },
    catch: (cause) => unusable(path, cause),
  })
})

const isBusy = (cause: unknown): boolean =>
  ((cause as { readonly errcode?: unknown }).errcode as number) % 256 === 5

/** Takes the lock, or answers `undefined` when another process has it. */
const tryLock = (path: string): DatabaseSync | undefined => {
  createClosed(join(path, "lock.db"))
  const database = new DatabaseSync(join(path, "lock.db"), { timeout: lockPatienceMs })
  try {
    // Nothing is ever written; a journal in a file would take room that a full disk does not have.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
    return database
  } catch (cause) {
    database.close()
    if (isBusy(cause)) return undefined
    throw cause
  }
}

const Holder = Schema.fromJsonString(Schema.Struct({ pid: Schema.Int }))

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** The pid of whoever holds the lock. A process that took it just now may not have said so yet. */
const holderOf = (path: string): Effect.Effect<number | null> =>
  Effect.tryPromise(() => readOwnFile(join(path, "lock.json"))).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Holder)),
    Effect.filterOrFail(
      ({ pid }) => isAlive(pid),
      () => "gone" as const,
    ),
    Effect.retry({ schedule: Schedule.spaced("50 millis"), times: holderLooks }),
    Effect.match({ onFailure: () => null, onSuccess: ({ pid }) => pid }),
  )

/**
 * Creates the directory with mode 0700 where it is missing, and holds it until the scope closes.
 * Answers its absolute path. On a full disk it makes room, and fails with `DiskFull` only where not
 * even the lock can be taken. Nobody else in this process may open `lock.db`: closing any handle of
 * a file drops POSIX locks on it.
 */
export const hold = Effect.fn("DataDirectory.hold")(function* (directory: string) {
  const path = resolve(directory)
  yield* prepare(path)
  const lock = yield* Effect.acquireRelease(
    Effect.try({
      try: () => tryLock(path),
      catch: (cause) => unusableFile(path, "lock.db", cause),
    }),
    (database) => Effect.sync(() => database?.close()),
  )
  if (lock === undefined) {
    return yield* new DataDirectoryHeld({ path, pid: yield* holderOf(path) })
  }
  yield* makeRoom(path)
  yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => writeAtomically(join(path, "lock.json"), `{"pid":${process.pid}}\n`),
      catch: (cause) => unusableFile(path, "lock.json", cause),
    }).pipe(
      // It is for messages alone.
      Effect.catchTag("DiskFull", () => Effect.void),
    ),
    () => Effect.ignore(Effect.tryPromise(() => fs.rm(join(path, "lock.json"), { force: true }))),
  )
  return path
})
