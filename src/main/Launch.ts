/**
 * The life of the process: configuration, data directory, plugins and kernel, recovery, waiting,
 * shutdown by the scope's finalizers, exit code. What each of them does is theirs.
 */
import { flushCompileCache } from "node:module"

import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import type { DesiredState } from "../kernel/DesiredState.ts"
import { Gateway } from "../kernel/Gateway.ts"
import { Lifecycle } from "../kernel/Lifecycle.ts"
import type { Readiness } from "../kernel/Readiness.ts"
import type { Replayer } from "../kernel/Replayer.ts"
import { startup } from "../kernel/Startup.ts"
import { compose } from "./Composition.ts"
import { type Config, load } from "./Config.ts"
import { hold } from "./DataDirectory.ts"
import { ending, exitCodes, ProcessFailed } from "./Exit.ts"
import { firstParty, runtimes } from "./FirstPartyPlugins.ts"
import * as KernelFile from "./KernelFile.ts"
import * as Loggers from "./Loggers.ts"
import * as NodeDigest from "./NodeDigest.ts"
import * as RootTokenFile from "./RootTokenFile.ts"
import { listen } from "./Signals.ts"

/** Says where the gateway listens, to people and to other programs. */
const announce = Effect.fnUntraced(function* (directory: string, url: string) {
  yield* KernelFile.publish(directory, url)
  yield* Effect.sync(() => process.stdout.write(`solo listening on ${url}\n`))
})

/** The kernel, once it is built. */
type Running = Context.Context<DesiredState | Gateway | Lifecycle | Readiness | Replayer>

/** A run of the kernel: what is known of it from outside its scope. */
interface Run {
  /** Why it stops. */
  reason: string
  /** What went wrong while it stopped. */
  problems: () => ReadonlyArray<string>
}

/** Brings everything up in the current scope; its finalizers take everything down again. */
const start = Effect.fnUntraced(function* (config: Config, cwd: string, run: Run) {
  const directory = yield* hold(config.dataDir)
  yield* KernelFile.remove(directory)
  const given = yield* Layer.build(
    Layer.mergeAll(NodeDigest.layer, RootTokenFile.layer(directory, config.rootToken)),
  )
  const parts = { plugins: firstParty, runtimes }
  const { context } = yield* compose(config, cwd, parts, given as Context.Context<never>)
  const running = context as unknown as Running
  run.problems = Context.get(running, Lifecycle).problems
  yield* announce(directory, Context.get(running, Gateway).url)
  // @effect-diagnostics-next-line strictEffectProvide:off -- this is the entry point
  yield* Effect.provideContext(
    startup(() => run.reason),
    running,
  )
  yield* Effect.sync(flushCompileCache)
})

interface Stop {
  /** Completes with the reason when the process is asked to stop. */
  readonly requested: Deferred.Deferred<string>
  /** Called with the whole shutdown's time once it is known. */
  readonly setTimeout: (milliseconds: number) => void
}

const program = Effect.fnUntraced(function* ({ requested, setTimeout }: Stop) {
  const cwd = process.cwd()
  const config = yield* load({ env: process.env, cwd })
  setTimeout(config.shutdownTimeoutMs)
  const run: Run = { reason: "the start failed", problems: () => [] }
  const asked = Effect.map(Deferred.await(requested), (reason) => {
    run.reason = reason
  })
  yield* start(config, cwd, run).pipe(
    Effect.andThen(Effect.never),
    Effect.raceFirst(asked),
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- this is the entry point
    Effect.provide(Loggers.layer(config)),
  )
  const [problem, ...others] = run.problems()
  if (problem !== undefined) {
    return yield* new ProcessFailed({ code: exitCodes.failed, lines: [problem, ...others] })
  }
})

const say = (lines: ReadonlyArray<string>): void => {
  for (const line of lines) process.stderr.write(`solo: ${line}\n`)
}

const die = (what: string, error: unknown): void => {
  say(`${what}: ${Cause.pretty(Cause.die(error))}`.split("\n"))
  process.exit(exitCodes.failed)
}

/** Starts the kernel and ends the process when it has stopped. */
export const launch = (): void => {
  process.on("uncaughtException", (error) => die("fatal: nothing caught this", error))
  process.on("unhandledRejection", (error) => die("fatal: nothing handled this rejection", error))
  // Whoever read our output may be gone; that must not disturb a shutdown.
  process.stdout.on("error", () => undefined)
  process.stderr.on("error", () => undefined)
  const requested = Deferred.makeUnsafe<string>()
  let shutdownTimeoutMs = 10_000
  listen({
    onStop: (reason) => {
      Deferred.doneUnsafe(requested, Effect.succeed(reason))
      setTimeout(() => {
        say([
          `shutdown took longer than SOLO_SHUTDOWN_TIMEOUT_MS (${shutdownTimeoutMs} ms) and was broken off`,
        ])
        process.exit(exitCodes.failed)
      }, shutdownTimeoutMs)
    },
    onExit: (code) => process.exit(code),
  })
  // A fiber that only waits does not keep the process alive.
  setInterval(() => undefined, 2 ** 31 - 1)
  const fiber = Effect.runFork(
    program({
      requested,
      setTimeout: (milliseconds) => {
        shutdownTimeoutMs = milliseconds
      },
    }),
  )
  fiber.addObserver((exit) => {
    const { code, lines } = ending(exit)
    say(lines)
    process.exit(code)
  })
}
