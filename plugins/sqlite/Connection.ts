/**
 * One connection to a SQLite file through `node:sqlite`, as `effect/sql` wants it. It owns the
 * prepared statements and the translation of SQLite's errors; sharing connections is the client's
 * business.
 */
import { statSync } from "node:fs"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"

import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"

import { createClosed } from "./ClosedFile.ts"

/** Prepared statements kept per connection; the least recently used is dropped first. */
const maxPrepared = 256

/** Rows a stream hands on at once. */
const streamChunk = 128

/** What a connection needs to know. */
export interface ConnectionOptions {
  readonly filename: string
  readonly readOnly: boolean
  /** How long SQLite waits for another process's lock, in milliseconds. It blocks meanwhile. */
  readonly busyTimeoutMs: number
}

const isOutOfRange = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && cause.code === "ERR_OUT_OF_RANGE"

/** Only reading may be done twice. */
const isSelect = (statement: StatementSync): boolean =>
  statement.sourceSQL.trimStart().startsWith("SELECT")

const toNumber = (value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value)

/**
 * Runs `read`. `node:sqlite` refuses a whole result for one integer that no number can hold, and
 * that only damage can have put there: it is then read again with that one rounded, so that it costs
 * the row it is in, whose reader finds no integer, and not every row beside it.
 */
const reading = <Row extends object>(
  statement: StatementSync,
  read: () => ReadonlyArray<Row>,
  convert: (row: Row) => Row,
): ReadonlyArray<Row> => {
  try {
    return read()
  } catch (cause) {
    if (!isOutOfRange(cause) || !isSelect(statement)) throw cause
    statement.setReadBigInts(true)
    try {
      return read().map(convert)
    } finally {
      statement.setReadBigInts(false)
    }
  }
}

/** A connection, with what `effect/sql` does not ask for but the plugin does. */
export interface SqliteConnection extends Connection {
  readonly isTransaction: boolean
  /**
   * Fails when the file is not where it was opened: deleted, moved or replaced. SQLite would go on
   * writing into what nobody will ever open again.
   */
  readonly inPlace: Effect.Effect<void, SqlError>
}

/** Turns what `node:sqlite` throws into a `SqlError`; the code is where `effect/sql` looks for it. */
const toSqlError = (operation: string) => (cause: unknown) => {
  if (cause instanceof Error && "errcode" in cause) Object.assign(cause, { errno: cause.errcode })
  return new SqlError({
    reason: classifySqliteError(cause, {
      operation,
      message: cause instanceof Error ? cause.message : "Failed to execute statement",
    }),
  })
}

const attempt = <A>(operation: string, evaluate: () => A): Effect.Effect<A, SqlError> =>
  Effect.try({ try: evaluate, catch: toSqlError(operation) })

/** A database that has no file. */
export const inMemory = ":memory:"

const open = (options: ConnectionOptions): DatabaseSync => {
  if (!options.readOnly && options.filename !== inMemory) createClosed(options.filename)
  const database = new DatabaseSync(options.filename, {
    readOnly: options.readOnly,
    timeout: options.busyTimeoutMs,
    enableForeignKeyConstraints: true,
  })
  if (!options.readOnly) {
    // What is deleted is overwritten with zeros, for the sake of revoked secrets.
    database.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;",
    )
  }
  database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")
  return database
}

/** SQLite's code for it, which it only uses itself without a write-ahead log. */
const movedCode = 1032

/** @see SqliteConnection.inPlace */
const makeInPlace = (filename: string) => {
  const inode = () => statSync(filename, { bigint: true, throwIfNoEntry: false })?.ino
  const opened = inode()
  return attempt("inPlace", () => {
    // A database in memory has no place.
    if (opened === undefined || inode() === opened) return
    const error = new Error(`${filename} was deleted, moved or replaced while it was in use`)
    throw Object.assign(error, { errcode: movedCode })
  })
}

/** Takes the next rows off a running query, and the query itself as long as there may be more. */
const nextChunk = (rows: NodeJS.Iterator<object>) => {
  const chunk: Array<object> = []
  while (chunk.length < streamChunk) {
    const next = rows.next()
    if (next.done) return [chunk, Option.none<typeof rows>()] as const
    chunk.push(next.value)
  }
  return [chunk, Option.some(rows)] as const
}

const makePrepare = (database: DatabaseSync) => {
  const prepared = new Map<string, StatementSync>()
  return (sql: string): StatementSync => {
    let statement = prepared.get(sql)
    if (statement === undefined) {
      statement = database.prepare(sql)
      if (prepared.size >= maxPrepared) {
        const oldest = prepared.keys().next()
        if (!oldest.done) prepared.delete(oldest.value)
      }
    } else {
      prepared.delete(sql)
    }
    prepared.set(sql, statement)
    return statement
  }
}

/** Opens the file; the scope closes it. Fails with a `SqlError` when SQLite cannot. */
export const makeConnection = Effect.fnUntraced(function* (
  options: ConnectionOptions,
): Effect.fn.Return<SqliteConnection, SqlError, Scope.Scope> {
  const database = yield* Effect.acquireRelease(
    attempt("open", () => open(options)),
    (database) => Effect.sync(() => database.close()),
  )
  const prepare = makePrepare(database)
  const inPlace = makeInPlace(options.filename)

  // Every statement binds through here: SQLite knows no booleans and no `undefined`.
  const all = (statement: StatementSync, params: ReadonlyArray<unknown>) => {
    statement.setReturnArrays(false)
    return reading(
      statement,
      () => statement.all(...(params as ReadonlyArray<SQLInputValue>)) as ReadonlyArray<object>,
      (row) =>
        Object.fromEntries(Object.entries(row).map(([name, value]) => [name, toNumber(value)])),
    )
  }
  const values = (statement: StatementSync, params: ReadonlyArray<unknown>) => {
    statement.setReturnArrays(true)
    return reading(
      statement,
      () =>
        statement.all(...(params as ReadonlyArray<SQLInputValue>)) as unknown as ReadonlyArray<
          ReadonlyArray<unknown>
        >,
      (row) => row.map(toNumber),
    )
  }

  return {
    get isTransaction() {
      return database.isTransaction
    },
    inPlace,
    execute: (sql, params, transformRows) =>
      attempt("execute", () => {
        const rows = all(prepare(sql), params)
        return transformRows === undefined ? rows : transformRows(rows)
      }),
    executeRaw: (sql, params) =>
      attempt("executeRaw", () => prepare(sql).run(...(params as ReadonlyArray<SQLInputValue>))),
    executeStream: (sql, params, transformRows) =>
      attempt("executeStream", () =>
        // A statement of its own: a cached one would be reset under the stream by its next user.
        database.prepare(sql).iterate(...(params as ReadonlyArray<SQLInputValue>)),
      ).pipe(
        Effect.map((rows) =>
          Stream.paginate(rows, () => attempt("executeStream", () => nextChunk(rows))).pipe(
            Stream.map((row) => (transformRows === undefined ? row : transformRows([row])[0]!)),
            Stream.ensuring(Effect.sync(() => rows.return?.())),
          ),
        ),
        Stream.unwrap,
      ),
    executeValues: (sql, params) => attempt("executeValues", () => values(prepare(sql), params)),
    executeValuesUnprepared: (sql, params) =>
      attempt("executeValuesUnprepared", () => values(database.prepare(sql), params)),
    executeUnprepared: (sql, params, transformRows) =>
      attempt("executeUnprepared", () => {
        const rows = all(database.prepare(sql), params)
        return transformRows === undefined ? rows : transformRows(rows)
      }),
  }
})
