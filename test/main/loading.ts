/**
 * A process of its own for the tests of the plugin loader, without a test runner's own module
 * loading: loads each of its arguments after the first, which is the working directory, and prints
 * one JSON text per outcome: the plugin's name and notes, or the error.
 */
import * as Effect from "effect/Effect"

import * as surface from "../../src/index.ts"
import { load } from "../../src/main/PluginLoader.ts"

const [cwd = "", ...froms] = process.argv.slice(2)

const describe = (from: string) =>
  load(from, cwd, cwd).pipe(
    Effect.match({
      onFailure: (error) => ({ error: error.message }),
      onSuccess: (plugin) => ({
        name: plugin.name,
        isShared: plugin.needs.every((key) => key === surface.EventStore),
      }),
    }),
    Effect.map((outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`)),
  )

await Effect.runPromise(Effect.forEach(froms, describe))
