/**
 * Storage that fails: connections on real SQLite that a test can make fail, before or after a
 * statement was carried out, slow down, or photograph in between. One statement to the writing connection is
 * one step.
 */
import * as Effect from "effect/Effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"

import { makeConnection, type SqliteConnection } from "../../../plugins/sqlite/Connection.ts"

/** What to do with one step. `before`: it fails and did nothing; `after`: it was done and fails. */
export type Verdict = "before" | "after" | "well"

/** The errors that SQLite would give, by its result code. */
const errorOf = (sql: string, errcode = 10) => {
  const cause = Object.assign(new Error("scripted disk I/O error"), { errcode, errno: errcode })
  const operation = sql.slice(0, 40)
  return new SqlError({ reason: new ConnectionError({ cause, message: cause.message, operation }) })
}

/** A storage whose steps a test decides. */
export interface Faults {
  readonly open: typeof makeConnection
  /** Statements so far, the current one included. */
  readonly steps: () => number
  /** Decides each step, and may look at the files before and after it. */
  readonly decide: (hook: Hook) => void
  /** Fails every statement that matches, before it is carried out, with one of SQLite's codes. */
  readonly failWhile: (matches: (sql: string) => boolean, errcode?: number) => void
  /** Has every statement that matches wait so long before it is carried out. */
  readonly delayWhile: (matches: (sql: string) => boolean, milliseconds: number) => void
  /** All goes well again. */
  readonly stop: () => void
}

/** Sees every step. */
interface Hook {
  readonly before?: (step: number, sql: string) => Verdict
  readonly after?: (step: number, sql: string) => void
}

type Run = <A>(sql: string, statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>

const wrap = (connection: SqliteConnection, run: Run): SqliteConnection => ({
  get isTransaction() {
    return connection.isTransaction
  },
  inPlace: connection.inPlace,
  execute: (sql, params, transform) => run(sql, connection.execute(sql, params, transform)),
  executeRaw: (sql, params) => run(sql, connection.executeRaw(sql, params)),
  executeStream: connection.executeStream,
  executeValues: (sql, params) => run(sql, connection.executeValues(sql, params)),
  executeValuesUnprepared: (sql, params) =>
    run(sql, connection.executeValuesUnprepared(sql, params)),
  executeUnprepared: (sql, params, transform) =>
    run(sql, connection.executeUnprepared(sql, params, transform)),
})

/** Storage that goes well until it is told otherwise. */
export const makeFaults = (): Faults => {
  let hook: Hook = {}
  let steps = 0
  let code: number | undefined
  let delayOf: (sql: string) => number = () => 0
  const run: Run = (sql, statement) =>
    Effect.suspend(() => {
      const step = ++steps
      const verdict = hook.before?.(step, sql) ?? "well"
      if (verdict === "before") return Effect.fail(errorOf(sql, code))
      const delay = delayOf(sql)
      const late = delay === 0 ? statement : Effect.andThen(Effect.sleep(delay), statement)
      const done = Effect.tap(late, () => Effect.sync(() => hook.after?.(step, sql)))
      return verdict === "after" ? Effect.andThen(done, Effect.fail(errorOf(sql, code))) : done
    })
  return {
    open: (options) =>
      Effect.map(makeConnection(options), (connection) =>
        options.readOnly ? connection : wrap(connection, run),
      ),
    steps: () => steps,
    decide: (next) => {
      hook = next
    },
    failWhile: (matches, errcode) => {
      code = errcode
      hook = { before: (_, sql) => (matches(sql) ? "before" : "well") }
    },
    delayWhile: (matches, milliseconds) => {
      delayOf = (sql) => (matches(sql) ? milliseconds : 0)
    },
    stop: () => {
      hook = {}
      delayOf = () => 0
    },
  }
}
