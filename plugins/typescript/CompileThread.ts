/**
 * One compile thread and its replacement: starts it when first needed, gives it one source at a
 * time, and throws it away when a source broke it or took too long.
 */
import { Worker } from "node:worker_threads"

import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { CompileFailed, type SourceFormat, maxSourceBytes } from "solo"

import type { CompileReply, CompileRequest } from "./CompileWorker.ts"

/** How long one source may take. */
const compileTimeout = Duration.seconds(10)

/** The compile thread's heap; the largest source needs about a quarter. */
const heapMb = 512
const stackMb = 4

const workerUrl = new URL(
  import.meta.url.endsWith(".ts") ? "./CompileWorker.ts" : "./CompileWorker.js",
  import.meta.url,
)

interface Thread {
  readonly worker: Worker
  /** Takes the answer to the source at hand. */
  answer: (outcome: CompileReply["outcome"]) => void
}

const startThread = (): Thread => {
  const worker = new Worker(workerUrl, {
    env: {},
    execArgv: ["--no-warnings"],
    resourceLimits: { maxOldGenerationSizeMb: heapMb, stackSizeMb: stackMb },
    stdout: true,
    stderr: true,
  })
  const thread: Thread = { worker, answer: () => {} }
  worker.on("message", (reply: CompileReply) => thread.answer(reply.outcome))
  worker.on("error", () => thread.answer("overflow"))
  worker.on("exit", () => thread.answer("overflow"))
  worker.unref()
  return thread
}

const failed = (message: string) => new CompileFailed({ message, line: 1, column: 1 })

const tooDeep = failed("the source is nested too deeply to be parsed; split its expressions up")
const tooSlow = failed(`the source took longer than ${Duration.format(compileTimeout)} to compile`)
const tooLarge = failed(`the source has more than ${maxSourceBytes} bytes`)

/** A compiler in a thread of its own, which ends with the scope. */
export const make = Effect.gen(function* () {
  const turn = yield* Semaphore.make(1)
  let current: Thread | undefined
  const discard = Effect.suspend(() => {
    const thread = current
    current = undefined
    return thread === undefined ? Effect.void : Effect.promise(() => thread.worker.terminate())
  })
  yield* Effect.addFinalizer(() => discard)

  const ask = (source: string, format: SourceFormat) =>
    Effect.callback<CompileReply["outcome"]>((resume) => {
      const thread = (current ??= startThread())
      thread.answer = (outcome) => {
        thread.worker.unref()
        resume(Effect.succeed(outcome))
      }
      thread.worker.ref()
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
      thread.worker.postMessage({ source, format } satisfies CompileRequest)
      return discard
    }).pipe(Effect.timeoutOrElse({ duration: compileTimeout, orElse: () => Effect.fail(tooSlow) }))

  return Effect.fn("Compiler.compile")(function* (source: string, format: SourceFormat) {
    if (source.length > maxSourceBytes) return yield* tooLarge
    const outcome = yield* turn.withPermit(
      Effect.tap(ask(source, format), (outcome) =>
        outcome === "overflow" ? discard : Effect.void,
      ),
    )
    if (outcome === "overflow") return yield* tooDeep
    if (outcome.ok) return outcome.code
    const { message, line, column } = outcome
    return yield* new CompileFailed({ message, line, column })
  })
})
