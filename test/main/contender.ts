/**
 * A process of its own for the tests of the data directory: tries to hold the directory named by
 * its argument, prints the outcome, and waits to be killed.
 */
import * as Effect from "effect/Effect"

import { hold } from "../../src/main/DataDirectory.ts"

const attempt = hold(process.argv[2]!).pipe(
  Effect.match({ onFailure: (error) => error.message, onSuccess: () => "held" }),
  Effect.flatMap((line) => Effect.sync(() => process.stdout.write(`${line}\n`))),
  Effect.andThen(Effect.never),
  Effect.scoped,
)

setInterval(() => undefined, 60_000)
Effect.runFork(attempt)
