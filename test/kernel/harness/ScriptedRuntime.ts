/**
 * A runtime driver whose services are scripted by their source text, and a compiler that reads such
 * scripts: a double of the driver *port*, so that a test decides when a service starts, hangs,
 * crashes or ignores `stop`. It knows every living instance, so that a test can look for orphans.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

import { serviceKey, type ServiceName } from "../../../src/domain/Identifier.ts"
import { CompileFailed, Compiler } from "../../../src/kernel/services/Compiler.ts"
import {
  type Instance,
  type InstanceExit,
  NotRunning,
  type Program,
  Runtime,
  type ScheduledEvent,
  ServiceThrew,
  StartFailed,
} from "../../../src/kernel/services/Runtime.ts"

/** How a service behaves. Everything left out goes well. */
export const Script = Schema.Struct({
  /** Tells two sources apart. */
  n: Schema.optionalKey(Schema.Finite),
  compile: Schema.optionalKey(Schema.Literals(["fail", "die"])),
  compileMs: Schema.optionalKey(Schema.Finite),
  /** `stuck` cannot even be interrupted: a driver that breaks its contract. */
  start: Schema.optionalKey(Schema.Literals(["fail", "hang", "stuck", "die"])),
  startMs: Schema.optionalKey(Schema.Finite),
  /** What `scheduled` does: it takes so long, or never ends, or throws. */
  scheduledMs: Schema.optionalKey(Schema.Finite),
  scheduled: Schema.optionalKey(Schema.Literals(["hang", "throw"])),
  /** Crashes so long after every start. */
  crashAfterMs: Schema.optionalKey(Schema.Finite),
  /** Ends by itself, without a crash, so long after every start. */
  endAfterMs: Schema.optionalKey(Schema.Finite),
  /** How it answers requests; else with 200. */
  answers: Schema.optionalKey(Schema.Literals(["500", "hang", "throw"])),
  /** How long it takes to answer. */
  answerMs: Schema.optionalKey(Schema.Finite),
  stop: Schema.optionalKey(Schema.Literals(["hang", "stuck"])),
  kill: Schema.optionalKey(Schema.Literals(["stuck"])),
  /** The secret that it reads before anything else and tells whenever it fails. */
  tells: Schema.optionalKey(Schema.String),
  /** What it logs before its start comes to anything. */
  says: Schema.optionalKey(Schema.String),
  /** The end of the instance's scope never returns: a driver that breaks its contract. */
  release: Schema.optionalKey(Schema.Literals(["stuck"])),
})
/** @see {@link Script} */
export type Script = typeof Script.Type

const text = Schema.fromJsonString(Script)
const parse = Schema.decodeUnknownEffect(text)
const print = Schema.encodeSync(text)

/** The source text of a scripted service. */
export const scripted = (script: Script = {}): string => print(script)

/** A living instance. */
interface Living {
  readonly key: string
  readonly revision: number
  readonly code: string
  readonly end: (exit: InstanceExit) => void
}

/** The services of one kernel as the driver sees them. */
export interface World {
  readonly living: Set<Living>
  /** Every successful start, every `stop`, `kill` and end of scope, in order: `start a/b@1`. */
  readonly history: Array<string>
  /** Every due time that a service was called for, in order. */
  readonly fired: Array<ScheduledEvent & { readonly key: string; readonly revision: number }>
  /** Replaces the script of a service, by service key, from its next compilation or start on. */
  readonly overrides: Map<string, Script>
  /** Source texts that are refused from now on, and those that break the compiler. */
  readonly uncompilable: Set<string>
  readonly broken: Set<string>
  /** Crashes the living instances of a service, or only that of one revision. */
  readonly crash: (name: ServiceName, reason?: string, revision?: number) => void
  readonly layer: Layer.Layer<Compiler | Runtime>
}

const stuck = Effect.uninterruptible(Effect.never)

const makeInstance = (world: World, script: Script, program: Program, reason: string) =>
  Effect.gen(function* () {
    const key = serviceKey(program.name)
    const name = `${key}@${program.revision}`
    const exit = yield* Deferred.make<InstanceExit>()
    const living: Living = {
      key,
      revision: program.revision,
      code: program.code,
      end: (how) => {
        world.living.delete(living)
        Deferred.doneUnsafe(exit, Exit.succeed(how))
      },
    }
    const end = Effect.sync(() => living.end({ _tag: "Stopped" }))
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        world.living.add(living)
        world.history.push(`start ${name}`)
      }),
      () =>
        Effect.sync(() => world.history.push(`release ${name}`)).pipe(
          Effect.andThen(end),
          Effect.andThen(script.release === "stuck" ? stuck : Effect.void),
        ),
    )
    const after = (milliseconds: number | undefined, how: InstanceExit) =>
      milliseconds === undefined
        ? Effect.void
        : Effect.sleep(milliseconds).pipe(
            Effect.andThen(Effect.sync(() => living.end(how))),
            Effect.forkScoped,
          )
    yield* after(script.crashAfterMs, { _tag: "Crashed", reason })
    yield* after(script.endAfterMs, { _tag: "Stopped" })
    const note = (what: string) => Effect.sync(() => world.history.push(`${what} ${name}`))
    let inFlight = 0
    let stopping = false
    const idle = Effect.repeat(Effect.sleep(1), { while: () => inFlight > 0 })
    const answer = Effect.gen(function* () {
      if (script.answers === "hang") return yield* Effect.never
      if (script.answers === "throw") return yield* new ServiceThrew({ message: reason })
      if (script.answerMs !== undefined) yield* Effect.sleep(script.answerMs)
      if (!world.living.has(living)) return yield* new NotRunning({ message: "it has ended" })
      const headers = [["x-revision", String(program.revision)]] as const
      return { status: script.answers === "500" ? 500 : 200, headers, body: null }
    })
    const instance: Instance = {
      request: () =>
        Effect.suspend(() => {
          if (stopping || !world.living.has(living)) {
            return Effect.fail(new NotRunning({ message: "it stops", undelivered: true }))
          }
          inFlight += 1
          return Effect.ensuring(
            answer,
            Effect.sync(() => (inFlight -= 1)),
          )
        }),
      scheduled: (event) =>
        Effect.gen(function* () {
          if (stopping || !world.living.has(living)) {
            return yield* new NotRunning({ message: "it stops", undelivered: true })
          }
          world.fired.push({ key, revision: program.revision, ...event })
          if (script.scheduledMs !== undefined) yield* Effect.sleep(script.scheduledMs)
          if (script.scheduled === "throw") return yield* new ServiceThrew({ message: reason })
          if (script.scheduled === "hang") return yield* Effect.never
        }).pipe(
          Effect.raceFirst(
            Effect.flatMap(Deferred.await(exit), () =>
              Effect.fail(new NotRunning({ message: "the instance ended" })),
            ),
          ),
        ),
      stop: note("stop").pipe(
        Effect.andThen(Effect.sync(() => (stopping = true))),
        Effect.andThen(Effect.suspend(() => (inFlight > 0 ? idle : Effect.void))),
        Effect.andThen(
          script.stop === "stuck" ? stuck : script.stop === "hang" ? Effect.never : end,
        ),
      ),
      kill: Effect.andThen(note("kill"), script.kill === "stuck" ? stuck : end),
      stats: Effect.succeed({ memoryBytes: 1, cpuMs: 1, inFlight: 0 }),
      exit: Deferred.await(exit),
    }
    return instance
  })

/** The secret that a script tells, with a blank before it. */
const toldBy = ({ tells }: Script, { readSecret }: Program) =>
  tells === undefined
    ? Effect.succeed("")
    : Effect.map(Effect.orDie(readSecret(tells)), (value) => ` ${Redacted.value(value)}`)

const begin = (world: World, program: Program) =>
  Effect.gen(function* () {
    const own = world.overrides.get(serviceKey(program.name))
    const script = own ?? (yield* Effect.orDie(parse(program.code)))
    if (script.says !== undefined) program.log({ time: "", level: "info", message: script.says })
    const reason = `scripted${yield* toldBy(script, program)}`
    switch (script.start) {
      case "fail":
        return yield* new StartFailed({ message: `${reason} to fail` })
      case "hang":
        return yield* Effect.never
      case "stuck":
        return yield* stuck
      case "die":
        return yield* Effect.die(new Error("scripted driver defect"))
      default:
        if (script.startMs !== undefined) yield* Effect.sleep(script.startMs)
        return yield* makeInstance(world, script, program, reason)
    }
  })

const compileScript = (world: World, source: string) =>
  Effect.gen(function* () {
    const script = yield* Effect.mapError(
      parse(source),
      () => new CompileFailed({ message: "not a script", line: 1, column: 1 }),
    )
    if (script.compile === "die" || world.broken.has(source)) {
      return yield* Effect.die(new Error("scripted compiler defect"))
    }
    if (script.compile === "fail" || world.uncompilable.has(source)) {
      return yield* new CompileFailed({ message: "scripted to fail", line: 3, column: 7 })
    }
    if (script.compileMs !== undefined) yield* Effect.sleep(script.compileMs)
    return source
  })

/** A driver without services. */
export const makeWorld = (): World => {
  const world: World = {
    living: new Set(),
    history: [],
    fired: [],
    overrides: new Map(),
    uncompilable: new Set(),
    broken: new Set(),
    crash: (name, reason = "crashed by the test", revision) => {
      for (const living of world.living) {
        if (revision !== undefined && living.revision !== revision) continue
        if (living.key === serviceKey(name)) living.end({ _tag: "Crashed", reason })
      }
    },
    layer: Layer.mergeAll(
      Layer.sync(Runtime, () =>
        Runtime.of({
          driver: "scripted",
          isolation: "none: scripts run nothing",
          walls: [],
          start: (program) => begin(world, program),
        }),
      ),
      Layer.sync(Compiler, () =>
        Compiler.of({ compile: (source) => compileScript(world, source) }),
      ),
    ),
  }
  return world
}
