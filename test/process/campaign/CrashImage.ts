/**
 * Crash images: the files of a kernel as they are at one instant, copied while its process is
 * stopped between two instructions. A torn image also loses the end of the write-ahead log, as a
 * power loss may leave it; what SQLite has synced into the database already is never torn.
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

/** Where the log's index says how many frames a checkpoint may have copied. */
const attemptedAt = 128

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

/** Copies a data directory as it lies there. */
export const copyDirectory = (from: string, to: string): void => {
  mkdirSync(to, { recursive: true, mode: 0o700 })
  if (!existsSync(from)) return
  for (const name of readdirSync(from).filter(copied)) {
    if (statSync(join(from, name)).isFile()) copyFileSync(join(from, name), join(to, name))
  }
}

const pageSize = (wal: string): number => readFileSync(wal).readUInt32BE(8)

/** Cuts off the end of the write-ahead log, anywhere behind what was checkpointed. */
const tear = (from: string, to: string, random: Random): void => {
  const wal = join(to, "solo.db-wal")
  const shm = join(from, "solo.db-shm")
  if (!existsSync(wal) || !existsSync(shm) || statSync(wal).size <= walHeader) return
  const attempted = readFileSync(shm).readUInt32LE(attemptedAt)
  const safe = attempted === 0 ? 0 : walHeader + attempted * (pageSize(wal) + frameHeader)
  const { size } = statSync(wal)
  if (safe < size) truncateSync(wal, random.between(safe, size))
}

/** Takes an image of the running kernel `pid` on `from`; a torn one where `random` is given. */
export const takeImage = (pid: number, from: string, to: string, random?: Random): Promise<void> =>
  whileStopped(pid, () => {
    copyDirectory(from, to)
    if (random !== undefined) tear(from, to, random)
  })
