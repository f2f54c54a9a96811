/**
 * What `node dist/main.js` does besides running the kernel: `backup` and `restore`. Without
 * arguments it runs the kernel, which is `Launch`'s business.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"

import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"

import { backup } from "./Backup.ts"
import { load } from "./Config.ts"
import { hold } from "./DataDirectory.ts"
import { ending, exitCodes } from "./Exit.ts"
import { masterKeyFile } from "./MasterKeyFile.ts"
import * as NodeDigest from "./NodeDigest.ts"
import { restore } from "./Restore.ts"
import { version } from "./Version.ts"

const configured = Effect.suspend(() => load({ env: process.env, cwd: process.cwd() }))

const acceptDamage = Flag.Boolean("accept-damage").pipe(
  Flag.withDescription("Go on although the copy is damaged; the findings are printed"),
  Flag.withDefault(false),
)

const told = ({ events, findings }: { events: number; findings: ReadonlyArray<string> }) =>
  Effect.forEach([`${events} events`, ...findings], (line) => Console.log(line), { discard: true })

const backupCommand = Command.make(
  "backup",
  {
    path: Argument.String("path").pipe(Argument.withDescription("The new file to write")),
    acceptDamage,
  },
  Effect.fn(function* (options) {
    const { dataDir } = yield* configured
    yield* told(yield* backup({ ...options, database: join(dataDir, "solo.db") }))
  }),
).pipe(
  Command.withDescription(
    "Writes a consistent, verified copy of the database; the kernel may be running",
  ),
)

const restoreCommand = Command.make(
  "restore",
  {
    path: Argument.String("path").pipe(Argument.withDescription("The backup")),
    overwrite: Flag.Boolean("overwrite").pipe(
      Flag.withDescription(
        "Also where the directory is not empty: its database is moved aside, all else stays",
      ),
      Flag.withDefault(false),
    ),
    acceptDamage,
  },
  Effect.fn(function* (options) {
    const { dataDir, masterKey } = yield* configured
    const directory = yield* hold(dataDir)
    yield* told(yield* restore({ ...options, database: join(directory, "solo.db") }))
    const keyFile = join(directory, masterKeyFile)
    if (masterKey === undefined && !existsSync(keyFile)) {
      yield* Console.log(
        `before the next start, put the master key that sealed it into ${keyFile} (or SOLO_MASTER_KEY)`,
      )
    }
  }, Effect.scoped),
).pipe(Command.withDescription("Puts a backup in the place of the database; no kernel may run"))

const solo = Command.make("solo").pipe(
  Command.withDescription("Without a command: runs the kernel"),
  Command.withSubcommands([backupCommand, restoreCommand]),
)

const isUsage = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && CliError.isCliError(Cause.squash(exit.cause))

/** Runs the command that the arguments name. */
export const runCommand = (): void =>
  Command.run(solo, { version }).pipe(
    // @effect-diagnostics-next-line strictEffectProvide:off -- this is the entry point
    Effect.provide(Layer.mergeAll(NodeServices.layer, NodeDigest.layer)),
    (program) =>
      NodeRuntime.runMain(program, {
        disableErrorReporting: true,
        teardown: (exit, onExit) => {
          const { code, lines } = ending(exit)
          // What is wrong with the arguments, the parser has said already.
          if (!isUsage(exit)) for (const line of lines) process.stderr.write(`solo: ${line}\n`)
          onExit(isUsage(exit) ? exitCodes.usage : code)
        },
      }),
  )
