/**
 * Directories that tests keep databases in, and crash images: the files of a running kernel, copied
 * in one instant, are what a `kill -9` or a power loss at that instant leaves behind.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

// In memory where there is such a file system: what is tested is what is written, not the device.
const root = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

const made: Array<string> = []
process.once("exit", () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true })
})

/** The files of one kernel. */
export interface Disk {
  readonly directory: string
  readonly database: string
  readonly wal: string
}

const diskIn = (directory: string): Disk => ({
  directory,
  database: join(directory, "solo.db"),
  wal: join(directory, "solo.db-wal"),
})

/** An empty disk. */
export const makeDisk = (): Disk => {
  const directory = mkdtempSync(join(root, "solo-test-"))
  made.push(directory)
  return diskIn(directory)
}

/** Forgets a disk before the process ends. */
export const dropDisk = (disk: Disk): void =>
  rmSync(disk.directory, { recursive: true, force: true })

/** Bytes in the write-ahead log. */
export const walBytes = (disk: Disk): number => (existsSync(disk.wal) ? statSync(disk.wal).size : 0)

/**
 * What would be left if the power went now. `keepWal` tears the write-ahead log off after so many
 * bytes. The shared-memory index is not copied: it never survives a process.
 */
export const takeImage = (disk: Disk, keepWal?: number): Disk => {
  const image = makeDisk()
  if (existsSync(disk.database)) copyFileSync(disk.database, image.database)
  if (existsSync(disk.wal)) copyFileSync(disk.wal, image.wal)
  if (keepWal !== undefined && existsSync(image.wal)) truncateSync(image.wal, keepWal)
  return image
}
