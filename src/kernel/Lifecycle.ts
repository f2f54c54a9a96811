/**
 * The first and the last word of a run in the log: `system_started`, and after everything else has
 * stopped and is on disk `system_shutdown_complete` (promise 9). What goes wrong on the way out is
 * collected here, so that the exit code tells the truth.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { draft } from "../domain/Event.ts"
import { withDeadline } from "./Deadline.ts"
import { flushShare, KernelConfig } from "./KernelConfig.ts"
import { EventStore } from "./log/EventStore.ts"
import { note } from "./log/Note.ts"
import { Readiness } from "./Readiness.ts"

/** What a part of the shutdown gets when there is no time left, in milliseconds. */
const lastChanceMs = 50

/** How the run before this one ended; `none` when there was none. */
export type PreviousEnd = "none" | "clean" | "unclean"

/** The beginning and the end of a run. */
export class Lifecycle extends Context.Service<
  Lifecycle,
  {
    readonly previousEnd: PreviousEnd
    /** Announces the shutdown: to be called first, once. */
    readonly shutdown: (reason: string) => Effect.Effect<void>
    /** Notes that a part of the shutdown failed; the process then exits with 1. */
    readonly failed: (problem: string) => Effect.Effect<void>
    /** What went wrong during the shutdown so far. */
    readonly problems: () => ReadonlyArray<string>
    /** Something that must be on disk before the last word; awaited in order of registration. */
    readonly onFlush: (
      name: string,
      flush: Effect.Effect<void, { readonly message: string }>,
    ) => void
  }
>()("solo/kernel/Lifecycle") {}

const findPreviousEnd = Effect.gen(function* () {
  const store = yield* EventStore
  const lastId = yield* store.lastId
  if (lastId === 0) return "none"
  const [last] = yield* store.filter({ sinceId: lastId - 1 })
  return last?.type === "system_shutdown_complete" ? "clean" : "unclean"
})

interface Identity {
  readonly kernelVersion: string
  readonly pid: number
}

const make = Effect.fnUntraced(function* (identity: Identity) {
  const store = yield* EventStore
  const readiness = yield* Readiness
  const config = yield* KernelConfig
  const previousEnd: PreviousEnd = yield* findPreviousEnd
  const problems: Array<string> = []
  const flushes: Array<readonly [string, Effect.Effect<void, { readonly message: string }>]> = []
  let shutdownAt: number | undefined

  const failed = (problem: string) =>
    Effect.andThen(
      Effect.sync(() => problems.push(problem)),
      Effect.logError(`shutdown: ${problem}`),
    )

  // Each part has its share; once the whole is used up, what may still be quick gets its chance.
  const timeLeft = Effect.map(Clock.currentTimeMillis, (now) => {
    const whole = config.shutdownTimeoutMs
    return Math.max(lastChanceMs, Math.min(whole * flushShare, whole - (now - (shutdownAt ?? now))))
  })

  const noted = (what: string, effect: Effect.Effect<unknown, { readonly message: string }>) =>
    effect.pipe(
      Effect.catch((error) => failed(`${what}: ${error.message}`)),
      Effect.catchCause((cause) => failed(`${what}: it broke: ${Cause.pretty(cause)}`)),
    )

  const guarded = (what: string, effect: Effect.Effect<unknown, { readonly message: string }>) =>
    noted(
      what,
      Effect.flatMap(timeLeft, (milliseconds) => withDeadline(milliseconds, effect)).pipe(
        Effect.flatMap((done) =>
          Option.isSome(done) ? Effect.void : failed(`${what}: it took too long`),
        ),
      ),
    )

  const shutdown = Effect.fn("Lifecycle.shutdown")(function* (reason: string) {
    if (shutdownAt !== undefined) return
    shutdownAt = yield* Clock.currentTimeMillis
    yield* Effect.logInfo(`shutting down: ${reason}`)
    yield* SubscriptionRef.set(readiness, { status: "stopping" })
    yield* guarded("announce", store.emit(draft("system_shutdown_started", { reason })))
  })

  const lastWord = Effect.gen(function* () {
    yield* shutdown("the kernel's scope closed")
    for (const [name, flush] of flushes) yield* guarded(`flush ${name}`, flush)
    yield* guarded("flush the event store", store.flush)
    const durationMs = Math.max(0, (yield* Clock.currentTimeMillis) - shutdownAt!)
    if (problems.length === 0) {
      // Whatever time it takes, which is the process's to limit: once accepted it cannot be taken
      // back, and a run that had given up on it would be called clean by the next.
      const complete = draft("system_shutdown_complete", { durationMs })
      yield* noted("last word", store.emit(complete))
    }
    yield* problems.length === 0
      ? Effect.logInfo(`shutdown complete in ${durationMs} ms`)
      : Effect.logError(`the shutdown was not clean: ${problems.join("; ")}`)
  })

  if (previousEnd === "unclean") {
    yield* Effect.logWarning("the previous run did not end cleanly; everything is replayed")
  }
  yield* note(draft("system_started", { ...identity, previousEnd }))
  yield* Effect.addFinalizer(() => lastWord)

  return Lifecycle.of({
    previousEnd,
    shutdown,
    failed,
    problems: () => problems,
    onFlush: (name, flush) => {
      flushes.push([name, flush])
    },
  })
})

/** Opens a run of the kernel; closing it is the run's last word. */
export const layerLifecycle = (identity: Identity) => Layer.effect(Lifecycle, make(identity))
