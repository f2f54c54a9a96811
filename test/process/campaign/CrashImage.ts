/**
 * Crash images: the files of a kernel as they are at one instant, copied while its process is
 * stopped between two instructions. A torn image also loses the end of the write-ahead log, as a
 * power loss may leave it: at any byte behind what was there at an earlier moment, so that whatever
 * was acknowledged before that moment must be in it.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
} from "node:fs"
import { join } from "node:path"

import type { Random } from "./Random.ts"

/** Bytes of the write-ahead log's header, and of a frame's beside its page. */
const walHeader = 32
const frameHeader = 24

/** Where the log's index has its header, the last frame, the salt, and the frames copied. */
const headerSize = 48
const lastFrameAt = 16
const saltAt = 32
const attemptedAt = 128

/** The file that says how far the log had come. */
const markName = "solo.db.mark"

const copied = (name: string): boolean => !name.endsWith("-shm")

const stateOf = (pid: number): string =>
  /^\d+ \(.*\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "?"

/** Stops the process, runs `look`, and lets it go on. */
const whileStopped = async <A>(pid: number, look: () => A): Promise<A> => {
  process.kill(pid, "SIGSTOP")
  try {
    while (stateOf(pid) !== "T") await new Promise((resolve) => setTimeout(resolve, 1))
    return look()
  } finally {
    process.kill(pid, "SIGCONT")
  }
}

/** Copies a data directory as it lies there, or what is `wanted` of it. */
export const copyDirectory = (
  from: string,
  to: string,
  wanted: (name: string) => boolean = () => true,
): void => {
  mkdirSync(to, { recursive: true, mode: 0o700 })
  if (!existsSync(from)) return
  for (const name of readdirSync(from).filter((name) => copied(name) && wanted(name))) {
    if (statSync(join(from, name)).isFile()) copyFileSync(join(from, name), join(to, name))
  }
}

/** The end of the write-ahead log, as its index tells it. */
interface WalEnd {
  /** Changes when the log begins anew. */
  readonly salt: string
  /** Bytes that hold committed frames. */
  readonly committed: number
  /** Bytes whose frames SQLite may have copied into the database, having synced them. */
  readonly attempted: number
}

/** Reads it; nothing while it is being changed. */
const walEnd = (dataDir: string): WalEnd | undefined => {
  const wal = join(dataDir, "solo.db-wal")
  const shm = join(dataDir, "solo.db-shm")
  if (!existsSync(wal) || !existsSync(shm) || statSync(wal).size <= walHeader) return undefined
  const index = readFileSync(shm)
  // It stands there twice, and is only valid where both agree.
  if (!index.subarray(0, headerSize).equals(index.subarray(headerSize, 2 * headerSize))) {
    return undefined
  }
  const frame = readFileSync(wal).readUInt32BE(8) + frameHeader
  const bytes = (frames: number) => (frames === 0 ? 0 : walHeader + frames * frame)
  return {
    salt: index.toString("hex", saltAt, saltAt + 8),
    committed: bytes(index.readUInt32LE(lastFrameAt)),
    attempted: bytes(index.readUInt32LE(attemptedAt)),
  }
}

/** Takes an image of the running kernel `pid` on `from`. */
export const takeImage = (pid: number, from: string, to: string): Promise<void> =>
  whileStopped(pid, () => copyDirectory(from, to))

/** A write-ahead log that has a beginning which must survive; `undefined` if nobody can tell. */
export type Mark = WalEnd | undefined

/**
 * What is in the write-ahead log of the kernel `pid` now, with the high-water mark of this moment
 * copied to `to`: no image may hold a later one than its end.
 */
export const markImage = (pid: number, from: string, to: string): Promise<Mark> =>
  whileStopped(pid, () => {
    mkdirSync(to, { recursive: true, mode: 0o700 })
    const mark = join(from, markName)
    if (existsSync(mark)) copyFileSync(mark, join(to, markName))
    return walEnd(from)
  })

/**
 * Takes an image whose write-ahead log ends anywhere behind `mark`, at any byte: what a loss of
 * power may leave of what was written since. Answers whether anything was cut off.
 */
export const takeTornImage = (
  pid: number,
  from: string,
  to: string,
  mark: Mark,
  random: Random,
): Promise<boolean> =>
  whileStopped(pid, () => {
    copyDirectory(from, to, (name) => name !== markName)
    const end = walEnd(from)
    if (mark === undefined || end === undefined || mark.salt !== end.salt) return false
    const safe = Math.max(mark.committed, end.attempted)
    const { size } = statSync(join(to, "solo.db-wal"))
    if (safe >= size) return false
    truncateSync(join(to, "solo.db-wal"), random.between(safe, Math.max(safe, end.committed)))
    return end.committed > safe
  })
