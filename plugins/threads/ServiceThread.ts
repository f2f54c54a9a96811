/**
 * One service in one worker thread: starts it, ends it, tells why it ended, and measures it.
 */
import { Worker } from "node:worker_threads"

import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Instance, type InstanceExit, type Program, StartFailed } from "solo"

import type { Assignment } from "../realm/Runner.ts"
import { Session, identityOf } from "../realm/Session.ts"
import { stackTracesFlag } from "../realm/StackTraces.ts"

/** Stack of a service's thread, in MiB. */
const stackMb = 2
/** Share of a service's heap for young objects, in MiB. */
const youngMb = 8

/** How long a thread may take to tell its figures, in milliseconds. */
const figuresTimeout = 200

/** What all threads share. */
export interface Bundles {
  /** The text of `ThreadRunner`. */
  readonly runner: string
  readonly bootstrap: string
  readonly cachedData: Uint8Array
}

const startThread = (bundles: Bundles, program: Program): Worker =>
  new Worker(bundles.runner, {
    eval: true,
    name: `${program.name.tenantId}/${program.name.serviceId}`.slice(0, 64),
    env: {},
    argv: [],
    execArgv: ["--experimental-vm-modules", "--no-warnings", stackTracesFlag],
    stdin: false,
    stdout: true,
    stderr: true,
    resourceLimits: {
      maxOldGenerationSizeMb: program.limits.heapMb,
      maxYoungGenerationSizeMb: Math.min(youngMb, program.limits.heapMb),
      stackSizeMb: stackMb,
    },
    workerData: {
      bootstrap: bundles.bootstrap,
      cachedData: bundles.cachedData,
      code: program.code,
      identity: identityOf(program),
    } satisfies Assignment,
  })

const reasonOf = (error: unknown, program: Program): string => {
  const { code, message } = error as { code?: unknown; message?: unknown }
  if (code === "ERR_WORKER_OUT_OF_MEMORY")
    return `out of memory: the service used more than ${program.limits.heapMb} MiB of heap (limits.heapMb)`
  return typeof message === "string" ? message.slice(0, 4096) : "the thread failed"
}

interface Life {
  readonly worker: Worker
  readonly session: Session
  readonly exit: Deferred.Deferred<InstanceExit>
  /** Why it ended, once that is decided. */
  ending: InstanceExit | undefined
}

const attach = Effect.fnUntraced(function* (bundles: Bundles, program: Program) {
  const exit = yield* Deferred.make<InstanceExit>()
  let life: Life | undefined
  const session = yield* Session.make(
    {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
      send: (frame) => life?.worker.postMessage(frame),
      broken: (reason) => {
        if (life === undefined) return
        life.ending ??= { _tag: "Crashed", reason }
        void life.worker.terminate()
      },
    },
    program,
  )
  const worker = yield* Effect.try({
    try: () => startThread(bundles, program),
    catch: (error) => new StartFailed({ message: reasonOf(error, program) }),
  })
  const alive: Life = (life = { worker, session, exit, ending: undefined })
  worker.on("message", (frame) => session.receive(frame))
  worker.on("error", (error) => {
    alive.ending ??= { _tag: "Crashed", reason: reasonOf(error, program) }
  })
  worker.on("exit", (code) => {
    const ending = (alive.ending ??= { _tag: "Crashed", reason: `the thread ended with ${code}` })
    session.end(ending._tag === "Crashed" ? ending.reason : "the instance was stopped")
    Deferred.doneUnsafe(exit, Effect.succeed(ending))
  })
  for (const [stream, level] of [
    [worker.stdout, "info"],
    [worker.stderr, "error"],
  ] as const)
    stream.on("data", (text: Buffer) => session.log.add(level, text.toString().trimEnd()))
  return alive
})

/** Starts `program` in a thread that ends with the scope. @see Runtime.start */
export const startInThread = (
  bundles: Bundles,
  program: Program,
): Effect.Effect<Instance, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const kill = (life: Life) =>
      Effect.suspend(() => {
        life.ending ??= { _tag: "Stopped" }
        void life.worker.terminate()
        return Effect.asVoid(Deferred.await(life.exit))
      })
    const life = yield* Effect.acquireRelease(attach(bundles, program), kill)
    const { worker, session, exit } = life
    yield* Effect.onError(session.ready, () => kill(life))
    return {
      request: (request) => session.request(request),
      scheduled: (event) => session.scheduled(event),
      stop: Effect.andThen(session.stop, kill(life)),
      kill: kill(life),
      stats: Effect.map(figures(worker), ([memoryBytes, cpuMs]) => ({
        memoryBytes,
        cpuMs,
        inFlight: session.inFlight,
      })),
      exit: Deferred.await(exit),
    }
  })

/** Memory in bytes and processor time in milliseconds; zeros once the thread has ended. */
const figures = (worker: Worker): Effect.Effect<readonly [number, number]> =>
  Effect.promise(async () => {
    const [heap, cpu] = await Promise.all([worker.getHeapStatistics(), worker.cpuUsage()])
    const memory = heap.total_heap_size + heap.external_memory + heap.malloced_memory
    return [Math.round(memory), Math.round((cpu.user + cpu.system) / 1000)] as const
  }).pipe(
    Effect.timeoutOrElse({
      duration: figuresTimeout,
      orElse: () => Effect.succeed([0, 0] as const),
    }),
    Effect.catchDefect(() => Effect.succeed([0, 0] as const)),
  )
