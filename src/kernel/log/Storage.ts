/**
 * What the kernel must know about the database behind `SqlClient` beyond SQL: what a failure
 * means, and how to ask for the file's health. A storage plugin provides it next to `SqlClient`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"

/**
 * Why storage failed: `full` no space is left, `io` the device failed, `locked` another writer
 * holds the database, `corrupt` the file is damaged, `missing` a table is not there, `unknown`
 * anything else.
 */
export const StorageFault = Schema.Literals([
  "full",
  "io",
  "locked",
  "corrupt",
  "missing",
  "unknown",
])
/** @see {@link StorageFault} */
export type StorageFault = typeof StorageFault.Type

const advice: Record<StorageFault, string> = {
  full: "the disk is full; free space and try again",
  io: "the storage device failed; check the disk and the file system",
  locked: "another process holds the database; end it and try again",
  corrupt: "the database file is damaged; restore it from a backup",
  missing: "a table of the database is missing; restore it from a backup",
  unknown: "the database failed",
}

/** Storage did not do what was asked; log and memory are as they were before. */
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  fault: StorageFault,
  /** What was attempted, such as `append`. */
  operation: Schema.String,
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return `${this.operation}: ${advice[this.fault]}`
  }
}

/** No backup was made; nothing is at its path that was not there before. */
export class BackupFailed extends Schema.TaggedError<BackupFailed>()("BackupFailed", {
  path: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `no backup was made to ${this.path}: ${this.reason}`
  }
}

/** What a storage driver knows about its database. */
export class Storage extends Context.Service<
  Storage,
  {
    /** The driver's name, such as `sqlite`. */
    readonly driver: string
    readonly classify: (error: SqlError) => StorageFault
    /** Whether the database is structurally sound; the findings, one line each, if it is not. */
    readonly integrity: Effect.Effect<ReadonlyArray<string>, SqlError>
    /**
     * Leaves nothing of what was deleted in the database's own files; whether that was possible
     * now. It is not while somebody reads or writes: ask again.
     */
    readonly scrub: Effect.Effect<boolean, SqlError>
    /**
     * Writes a consistent copy of the database, as it is at one moment, to the new file `path`,
     * structurally checked and on disk when it returns. The kernel goes on meanwhile.
     */
    readonly backup: (path: string) => Effect.Effect<void, BackupFailed>
  }
>()("solo/kernel/log/Storage") {}

/** Turns what the database says into what the kernel says: `failed("read events")(error)`. */
export const makeFailed = Effect.map(
  Storage,
  (storage) =>
    (operation: string) =>
    (cause: SqlError): StorageError =>
      new StorageError({ fault: storage.classify(cause), operation, cause }),
)
