/**
 * What is checked about the database's files before SQLite opens them, because SQLite would take
 * them for something else: it makes a new database where one is missing, and replays a write-ahead
 * log into whatever database lies beside it.
 */
import { closeSync, existsSync, openSync, readSync, type Stats, statSync } from "node:fs"

import * as Effect from "effect/Effect"

import { DatabaseDamaged, restoreAdvice } from "./DatabaseDamaged.ts"

const magic = "SQLite format 3\0"

/** The header of a database file (https://sqlite.org/fileformat2.html#the_database_header). */
const headerSize = 100

const sizeOf = (filename: string) => (existsSync(filename) ? statSync(filename).size : 0)

const readHeader = (filename: string) => {
  const header = Buffer.alloc(headerSize)
  const file = openSync(filename, "r")
  try {
    readSync(file, header, 0, headerSize, 0)
  } finally {
    closeSync(file)
  }
  return header
}

/** How long the file must be at least, in bytes, by its own header; 0 when the header cannot say. */
const expectedSize = (header: Buffer): number => {
  const pageSize = header.readUInt16BE(16) === 1 ? 65_536 : header.readUInt16BE(16)
  const countIsCurrent = header.readUInt32BE(24) === header.readUInt32BE(92)
  return countIsCurrent ? pageSize * header.readUInt32BE(28) : 0
}

const kindOf = (stats: Stats): string =>
  stats.isDirectory() ? "is a directory" : "is a device, a pipe or a socket"

/** What lies where the database, its write-ahead log or its index should be, and is no file. */
const findIntruder = (filename: string): DatabaseDamaged | undefined => {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) {
    const path = filename + suffix
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats === undefined || stats.isFile()) continue
    return new DatabaseDamaged({
      filename: path,
      damage: `${kindOf(stats)}, and must be a file`,
      advice: `move it away and ${suffix === "" ? restoreAdvice : "start again"}`,
    })
  }
  return undefined
}

/** The damage that shows, and what to do about it; `undefined` if none does. */
const findDamage = (filename: string, mark: string): DatabaseDamaged | undefined => {
  const intruder = findIntruder(filename)
  if (intruder !== undefined) return intruder
  const damaged = (damage: string, advice = restoreAdvice) =>
    new DatabaseDamaged({ filename, damage, advice })
  const wal = `${filename}-wal`
  const size = sizeOf(filename)
  if (size === 0) {
    const state = existsSync(filename) ? "is empty" : "is missing"
    if (sizeOf(wal) > 0) {
      return damaged(
        `${state}, but its write-ahead log ${wal} is there`,
        `put the database back beside it, or move the log away and ${restoreAdvice}`,
      )
    }
    if (existsSync(mark)) {
      return damaged(
        `${state}, but was there before`,
        `${restoreAdvice}; to begin with an empty one, delete ${mark}`,
      )
    }
    return undefined
  }
  const header = readHeader(filename)
  if (size < headerSize || header.toString("latin1", 0, magic.length) !== magic) {
    return damaged("is no SQLite database: its header is damaged")
  }
  const expected = expectedSize(header)
  // With a write-ahead log beside it, the file may be behind its header: SQLite completes it.
  if (size < expected && sizeOf(wal) === 0) {
    return damaged(`is cut off: it has ${size} bytes of ${expected}`)
  }
  return undefined
}

/** Fails if the files at `filename` must not be opened. `mark` is there once the database was. */
export const preflight = Effect.fnUntraced(function* (filename: string, mark: string) {
  const damage = yield* Effect.try({
    try: () => findDamage(filename, mark),
    catch: (cause) =>
      new DatabaseDamaged({
        filename,
        damage: `cannot be read (${cause instanceof Error ? cause.message : String(cause)})`,
        advice: "check the disk, and the permissions of the file and its directory",
      }),
  })
  if (damage !== undefined) return yield* damage
})
