/**
 * The life of the process: configuration, data directory, plugins and kernel, recovery, waiting,
 * shutdown by the scope's finalizers, exit code. What each of them does is theirs.
 */
import { flushCompileCache } from "node:module"

import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"

import type { KernelConfig } from "../kernel/KernelConfig.ts"
import { Lifecycle } from "../kernel/Lifecycle.ts"
import { Gateway } from "../kernel/plugin/Gateway.ts"
import type { Readiness } from "../kernel/Readiness.ts"
import type { DesiredState } from "../kernel/recovery/DesiredState.ts"
import type { Replayer } from "../kernel/recovery/Replayer.ts"
import type { Verifier } from "../kernel/recovery/Verifier.ts"
import { startup } from "../kernel/Startup.ts"
import { compose, type Parts } from "./Composition.ts"
import { type Config, load } from "./Config.ts"
import { hold } from "./DataDirectory.ts"
import { ending, exitCodes, ProcessFailed } from "./Exit.ts"
import { layerGiven } from "./Given.ts"
import * as KernelFile from "./KernelFile.ts"
import * as Loggers from "./Loggers.ts"
import { keepReserve } from "./Reserve.ts"
import { listen } from "./Signals.ts"

/** Says where the gateway listens, to people and to other programs. */
const announce = Effect.fnUntraced(function* (directory: string, url: string) {
  yield* KernelFile.publish(directory, url)
  yield* Effect.sync(() => process.stdout.write(`solo listening on ${url}\n`))
})

/** What a composition with a kernel in it holds. */
type Kernel = Context.Context<
  DesiredState | KernelConfig | Lifecycle | Readiness | Replayer | Verifier
>

/** A run of the kernel, as far as it is known outside its scope. */
interface Run {
  /** Why it stops. */
  reason: string
  /** What went wrong while it stopped. */
  problems: () => ReadonlyArray<string>
}

/** Brings everything up in the current scope, whose finalizers take everything down again. */
const start = Effect.fnUntraced(function* (config: Config, cwd: string, parts: Parts, run: Run) {
  const directory = yield* hold(config.dataDir)
  yield* KernelFile.remove(directory)
  const given = yield* Layer.build(layerGiven(directory, config))
  const { context } = yield* compose(config, cwd, parts, given as Context.Context<never>)
  const gateway = Context.getOrUndefined(context as Context.Context<Gateway>, Gateway)
  if (gateway !== undefined) yield* announce(directory, gateway.url)
  const lifecycle = Context.getOrUndefined(context as Context.Context<Lifecycle>, Lifecycle)
  if (lifecycle !== undefined) {
    run.problems = lifecycle.problems
    const kernel = context as Context.Context<never> as Kernel
    yield* Effect.provideContext(
      startup(() => run.reason),
      kernel,
    )
    // Not earlier: on a full disk the start needs the room.
    yield* keepReserve(directory)
  }
  yield* Effect.sync(flushCompileCache)
})

interface Shutdown {
  /** Completes with the reason when the process is asked to stop. */
  readonly requested: Deferred.Deferred<string>
  /** How long a whole shutdown may take; read when it begins. */
  timeoutMs: number
}

/** From now on the process ends in time, whatever the finalizers do; `lines` say why it ends. */
const limit = ({ timeoutMs }: Shutdown, lines: ReadonlyArray<string> = []): void => {
  setTimeout(() => {
    say([
      ...lines,
      `shutdown took longer than SOLO_SHUTDOWN_TIMEOUT_MS (${timeoutMs} ms) and was broken off`,
    ])
    process.exit(exitCodes.failed)
  }, timeoutMs)
}

const program = Effect.fnUntraced(function* (shutdown: Shutdown, parts: Parts) {
  const cwd = process.cwd()
  const config = yield* load({ env: process.env, cwd })
  shutdown.timeoutMs = config.shutdownTimeoutMs
  const run: Run = { reason: "the start failed", problems: () => [] }
  const asked = Effect.map(Deferred.await(shutdown.requested), (reason) => {
    run.reason = reason
  })
  yield* start(config, cwd, parts, run).pipe(
    Effect.andThen(Effect.never),
    Effect.raceFirst(asked),
    Effect.tapCause((cause) =>
      Effect.sync(() => limit(shutdown, ending(Exit.failCause(cause)).lines)),
    ),
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

/** Starts the kernel that `parts` make and ends the process when it has stopped. */
export const launch = (parts: Parts): void => {
  process.on("uncaughtException", (error) => die("fatal: nothing caught this", error))
  process.on("unhandledRejection", (error) => die("fatal: nothing handled this rejection", error))
  // Whoever read our output may be gone; that must not disturb a shutdown.
  process.stdout.on("error", () => undefined)
  process.stderr.on("error", () => undefined)
  const shutdown: Shutdown = { requested: Deferred.makeUnsafe(), timeoutMs: 10_000 }
  listen({
    onStop: (reason) => {
      Deferred.doneUnsafe(shutdown.requested, Effect.succeed(reason))
      limit(shutdown)
    },
    onExit: (code) => process.exit(code),
  })
  // A fiber that only waits does not keep the process alive.
  setInterval(() => undefined, 2 ** 31 - 1)
  const fiber = Effect.runFork(program(shutdown, parts))
  fiber.addObserver((exit) => {
    const { code, lines } = ending(exit)
    say(lines)
    process.exit(code)
  })
}
