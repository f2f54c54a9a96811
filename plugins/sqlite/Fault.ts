/**
 * What SQLite's result codes mean to the kernel.
 */
import type { SqlError } from "effect/sql/SqlError"
import type { StorageFault } from "solo"

/** Primary result codes (https://sqlite.org/rescode.html), the low byte of an extended one. */
const faults: Readonly<Record<number, StorageFault>> = {
  5: "locked", // SQLITE_BUSY
  6: "locked", // SQLITE_LOCKED
  8: "io", // SQLITE_READONLY, and SQLITE_READONLY_DBMOVED
  10: "io", // SQLITE_IOERR
  11: "corrupt", // SQLITE_CORRUPT
  13: "full", // SQLITE_FULL
  14: "io", // SQLITE_CANTOPEN
  26: "corrupt", // SQLITE_NOTADB
}

/** There was no room for the index of the write-ahead log, SQLITE_IOERR_SHMSIZE. */
const noRoomForIndex = 4874

/** Judges a failure by the code SQLite gave it. */
export const classify = (error: SqlError): StorageFault => {
  const cause = error.reason.cause
  if (typeof cause !== "object" || cause === null || !("errcode" in cause)) return "unknown"
  if (typeof cause.errcode !== "number") return "unknown"
  // SQLite has no code of its own for it.
  if (cause instanceof Error && cause.message.startsWith("no such table")) return "missing"
  if (cause.errcode === noRoomForIndex) return "full"
  return faults[cause.errcode & 0xff] ?? "unknown"
}
