/**
 * The recovery of one service, under its lock: what the log says should run is started and left to
 * supervision. When, and what is logged about it, is the replayer's business.
 */
import * as Effect from "effect/Effect"

import { draft } from "../../domain/Event.ts"
import type { RecoveryOutcome } from "../../domain/RecoveryReport.ts"
import { isUp } from "../../domain/Service.ts"
import { type Deployed, factOf } from "../../domain/State.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { Compiler } from "../services/Compiler.ts"
import { DeploymentEnded } from "../services/Deployer.ts"
import { type Endable, kernelStops, unlessEnded } from "../services/Endings.ts"
import { type Child, makeChild, markFailed, Registry } from "../services/Registry.ts"
import { Starts } from "../services/Starts.ts"
import { Supervisor } from "../services/Supervisor.ts"
import { DesiredState } from "./DesiredState.ts"
import { noteFact } from "./NoteFact.ts"

/** What an attempt to recover a service came to. */
export type Attempt = Pick<RecoveryOutcome, "outcome" | "reason">

/** It is back. */
export const recovered: Attempt = { outcome: "recovered", reason: null }
const skipped = (reason: string): Attempt => ({ outcome: "skipped", reason })
/** It is not back, for `reason`. */
export const failed = (reason: string): Attempt => ({ outcome: "failed", reason })

/** Id of the `recovery_started` event, or `null` when it could not be logged. */
export type RecoveryId = number | null

/** The reason of what the time limit of the whole recovery left over. */
export const outOfTime = "recovery ran out of time"

/** Marks `child` as one that could not be brought back. */
export const fail = (child: Child, reason: string): Attempt => {
  markFailed(child, reason)
  return failed(reason)
}

/**
 * Leaves a start that had to end to the supervisor: whoever ended it decides what becomes of the
 * service, and if that comes to nothing it is still wanted.
 */
const handOver = Effect.fnUntraced(function* (child: Child, code: string, reason: string) {
  const supervisor = yield* Supervisor
  if (child.instance !== undefined) {
    yield* supervisor.watch(child, code)
    return recovered
  }
  if (reason === kernelStops) markFailed(child, reason)
  else yield* supervisor.bringUp(child, code)
  return skipped(reason)
})

/** Starts what compiled. From a successful start on, nothing may come before its supervision. */
const bringUp = Effect.fnUntraced(function* (child: Child, code: string) {
  const starts = yield* Starts
  const supervisor = yield* Supervisor
  const abandon = Effect.andThen(
    supervisor.stop(child, { force: true }),
    Effect.sync(() => fail(child, outOfTime)),
  )
  const carryOut = (open: Endable) =>
    supervisor.start(child, code).pipe(
      unlessEnded(open, (reason) => new DeploymentEnded({ reason })),
      Effect.interruptible,
      Effect.onInterrupt(() => abandon),
      Effect.andThen(supervisor.watch(child, code)),
      Effect.as(recovered),
      Effect.catchTag("DeploymentEnded", ({ reason }) => handOver(child, code, reason)),
      // It compiles and was running before: that it does not start now may pass, so its restart
      // policy takes over.
      Effect.catch(({ message }) =>
        supervisor
          .watch(child, code, { _tag: "Crashed", reason: message })
          .pipe(Effect.as(fail(child, message))),
      ),
    )
  return yield* Effect.uninterruptible(starts.open(child)(carryOut))
})

/** Why `fact` needs no recovery any more, if something newer has been logged. */
export const overtaken = Effect.fnUntraced(function* (fact: Deployed) {
  const latest = factOf(yield* (yield* DesiredState).get, fact.name)
  if (latest?._tag !== "Deployed") return skipped("it was killed meanwhile")
  if (latest.eventId !== fact.eventId) return skipped("a newer deployment took its place")
  return undefined
})

/** Tells the end of a swap that a crash left open: under the lock no other is under way. */
const closeSwap = Effect.fnUntraced(function* (cause: RecoveryId, { name }: Deployed) {
  const fact = factOf(yield* (yield* DesiredState).get, name)
  if (fact?._tag !== "Deployed" || fact.swappingTo === null) return
  const payload = { from: fact.revision, to: fact.swappingTo, reason: "the kernel ended meanwhile" }
  yield* noteFact(draft("hot_swap_rolled_back", payload, { ...name, causationId: cause }))
})

/** Brings back what `fact` says, if it does not run. The caller holds the service's lock. */
export const attemptLocked = Effect.fnUntraced(function* (cause: RecoveryId, fact: Deployed) {
  yield* closeSwap(cause, fact)
  const artifacts = yield* ArtifactStore
  const compiler = yield* Compiler
  const registry = yield* Registry
  const late = yield* overtaken(fact)
  const previous = registry.get(fact.name)
  if (late !== undefined) {
    // Under the lock nobody starts it: what still says so is a place kept for what is gone.
    if (previous?.status === "starting") registry.remove(previous)
    return late
  }
  if (isUp(previous)) return skipped("it runs already")
  if (previous?.status === "stopped") return skipped("it ended on its own")
  if (previous !== undefined) yield* (yield* Supervisor).stop(previous, { force: true })
  const child = makeChild(fact)
  registry.put(child)
  const code = yield* artifacts.load(fact.spec.artifact).pipe(
    Effect.flatMap((source) => compiler.compile(source, fact.spec.format)),
    Effect.result,
  )
  if (code._tag === "Failure") return fail(child, code.failure.message)
  return yield* bringUp(child, code.success)
})
