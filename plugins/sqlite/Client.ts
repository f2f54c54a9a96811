/**
 * `SqlClient` on one SQLite file: one connection that writes, and read-only ones for streams, so
 * that a slow reader never holds up the writer. It is what `@effect/sql-sqlite-node` would give,
 * and goes the day a release of that fits (docs/decisions/0004).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Pool from "effect/Pool"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Semaphore from "effect/Semaphore"
import { make, makeSqliteAcquirers, SqlClient } from "effect/sql/SqlClient"
import { makeCompilerSqlite } from "effect/sql/Statement"

import { makeConnection, type SqliteConnection } from "./Connection.ts"

/** Streams that can read at the same time; a further one waits for its turn. */
const maxReaders = 8

/** Where the database is. */
export interface ClientOptions {
  readonly filename: string
  /** @see ConnectionOptions.busyTimeoutMs */
  readonly busyTimeoutMs: number
}

/**
 * Opens the database, creating it if needed, and provides it as `SqlClient`. `open` makes each
 * connection: what stands between the client and SQLite can be put there.
 */
export const layerClient = (options: ClientOptions, open = makeConnection) =>
  Layer.effect(
    SqlClient,
    Effect.gen(function* () {
      const writer = yield* open({ ...options, readOnly: false })
      const readers = yield* Pool.makeWithTTL({
        acquire: open({ ...options, readOnly: true }),
        min: 0,
        max: maxReaders,
        timeToLive: "1 minute",
      })
      // Whoever takes the connection has it alone: a transaction it finds open is a leftover of one
      // whose ROLLBACK failed, and nothing could ever be committed behind it. What is written into
      // a file that is gone must not be acknowledged either (promise 1).
      const clean = Effect.suspend(() =>
        writer.isTransaction
          ? Effect.asVoid(writer.executeUnprepared("ROLLBACK", [], undefined))
          : Effect.void,
      ).pipe(Effect.andThen(writer.inPlace), Effect.as(writer))
      const acquirers = makeSqliteAcquirers({
        connection: clean,
        semaphore: yield* Semaphore.make(1),
        isTransaction: (connection: SqliteConnection) => connection.isTransaction,
      })
      return yield* make({
        driver: "sqlite",
        acquirer: Pool.get(readers),
        borrower: acquirers.borrower,
        transactionAcquirer: acquirers.transactionAcquirer,
        onCommitFailure: acquirers.onCommitFailure,
        isTransaction: acquirers.isTransaction,
        compiler: makeCompilerSqlite(),
        spanAttributes: [["db.system.name", "sqlite"]],
        beginTransaction: "BEGIN IMMEDIATE",
        prepareTransactionControls: true,
        releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      })
    }),
  ).pipe(Layer.provide(Reactivity.layer))
