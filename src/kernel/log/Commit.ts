/**
 * Transactions of those who write for many: a commit that reports a failure and yet is durable has
 * succeeded, and what failed is told to everybody in the kernel's words.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import { makeFailed, StorageError } from "./Storage.ts"

/**
 * Runs `writing` in a transaction. Where that fails, `isDurable` says whether what was written is
 * in the database after all.
 */
export const commit = Effect.fnUntraced(function* <A, R>(
  writing: Effect.Effect<A, SqlError, R>,
  isDurable: (written: A) => Effect.Effect<boolean, SqlError, R>,
) {
  const sql = yield* SqlClient
  let written: readonly [A] | undefined
  const noted = Effect.tap(writing, (result) => Effect.sync(() => (written = [result])))
  return yield* Effect.catchCause(sql.withTransaction(noted), (cause) => {
    if (written === undefined) return Effect.failCause(cause)
    const [result] = written
    return Effect.matchCauseEffect(isDurable(result), {
      onFailure: () => Effect.failCause(cause),
      onSuccess: (durable) => (durable ? Effect.succeed(result) : Effect.failCause(cause)),
    })
  })
})

/** What a failed transaction is to those who waited for it. */
export const storageErrorOf = Effect.fnUntraced(function* (
  operation: string,
  cause: Cause.Cause<SqlError>,
) {
  const failed = yield* makeFailed
  const failure = Cause.findError(cause)
  return Result.isSuccess(failure)
    ? failed(operation)(failure.success)
    : new StorageError({ fault: "unknown", operation, cause: Cause.squash(cause) })
})
