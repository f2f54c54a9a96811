/**
 * SQLite's own examination of a database file. It reads every page, so it runs in a thread of its
 * own, on a connection of its own: the kernel goes on meanwhile.
 */
import { Worker } from "node:worker_threads"

import * as Effect from "effect/Effect"
import { SqlError, UnknownError } from "effect/sql/SqlError"

/** Findings that are listed at most. */
const maxFindings = 100

const program = `
const { DatabaseSync } = require("node:sqlite")
const { parentPort, workerData } = require("node:worker_threads")
const answer = () => {
  const database = new DatabaseSync(workerData.filename, { readOnly: true, timeout: 1000 })
  try {
    return database.prepare("PRAGMA quick_check(" + workerData.maximum + ")").all()
  } finally {
    database.close()
  }
}
try {
  parentPort.postMessage({ rows: answer() })
} catch (error) {
  parentPort.postMessage({ failure: String(error?.message ?? error), code: error?.errcode })
}
`

interface Answer {
  readonly rows?: ReadonlyArray<{ readonly quick_check: string }>
  readonly failure?: string
  readonly code?: number
}

/** SQLITE_CORRUPT and SQLITE_NOTADB: the examination itself stumbled over the damage. */
const stumbled = ({ code = 0 }: Answer) => [11, 26].includes(code & 0xff)

const toError = (cause: unknown) =>
  new SqlError({ reason: new UnknownError({ cause, operation: "quick_check" }) })

/** What is structurally wrong with the database, one line each; nothing when it is sound. */
export const checkIntegrity = (filename: string): Effect.Effect<ReadonlyArray<string>, SqlError> =>
  Effect.callback<Answer, SqlError>((resume) => {
    const worker = new Worker(program, {
      eval: true,
      workerData: { filename, maximum: maxFindings },
    })
    worker.once("message", (answer: Answer) => resume(Effect.succeed(answer)))
    worker.once("error", (error) => resume(Effect.fail(toError(error))))
    worker.once("exit", (code) => resume(Effect.fail(toError(`the thread ended with ${code}`))))
    return Effect.promise(() => worker.terminate())
  }).pipe(
    Effect.flatMap((answer) => {
      if (answer.rows !== undefined)
        return Effect.succeed(answer.rows.map((row) => row.quick_check))
      return stumbled(answer)
        ? Effect.succeed([answer.failure!])
        : Effect.fail(toError(answer.failure))
    }),
    Effect.map((lines) => lines.filter((line) => line !== "ok")),
  )
