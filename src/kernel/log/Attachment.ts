/**
 * How rows that go with events say no: an attachment of an append that finds its precondition
 * broken refuses that append alone, and the one who appended can tell this from broken storage.
 */
import * as Effect from "effect/Effect"
import { ConstraintError, isSqlError, SqlError } from "effect/sql/SqlError"

import type { AppendError } from "./EventStore.ts"

/** Whether the database, or an attachment, refused the rows themselves. */
export const isConstraint = (error: SqlError): boolean =>
  error.reason._tag === "ConstraintError" || error.reason._tag === "UniqueViolation"

/** Refuses the append this attachment belongs to; nothing of it is written. */
export const refuse = (message: string): Effect.Effect<never, SqlError> =>
  Effect.fail(new SqlError({ reason: new ConstraintError({ cause: message, message }) }))

/** Whether an append failed because its attachment did not fit, and not because storage failed. */
export const isRefusal = (error: AppendError): boolean =>
  error._tag === "StorageError" && isSqlError(error.cause) && isConstraint(error.cause)
