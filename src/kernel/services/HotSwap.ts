/**
 * One hot swap under the service's lock: the new revision starts beside the old one, is looked at,
 * takes over, is watched for the rollback window, and becomes a fact, or the old one is back. The
 * append of `hot_swap_succeeded` is the only point of no return. Whether to swap at all, and to
 * what, is decided before.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { draft } from "../../domain/Event.ts"
import { factOf } from "../../domain/State.ts"
import { withoutTokens } from "../../domain/Token.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { EventStore } from "../log/EventStore.ts"
import { Readiness } from "../Readiness.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import { noteFact } from "../recovery/NoteFact.ts"
import { admit, requireRoom } from "./Admission.ts"
import { Compiler } from "./Compiler.ts"
import { type Caller, SwapFailed, SwapRolledBack } from "./Deployer.ts"
import { type Child, markFailed, Registry, view } from "./Registry.ts"
import type { InstanceExit } from "./Runtime.ts"
import { noteCrash } from "./ServiceNote.ts"
import { Supervisor } from "./Supervisor.ts"
import { type OpenSwap, unlessSwapEnded } from "./Swaps.ts"

/** How long the health path may take to answer, in milliseconds. */
const healthTimeoutMs = 5000

/** How long requests to a revision that is taken back before its time may take to end. */
const takeBackTimeoutMs = 1000

/** What to swap. */
export interface SwapPlan {
  readonly caller: Caller
  /** The new revision; it has not run yet. */
  readonly child: Child
  /** The revision it is to take the place of. */
  readonly from: number
  readonly source: string
  readonly rollbackWindowMs: number
  readonly swap: OpenSwap
}

const originOf = ({ caller, child }: SwapPlan, causationId: number | null = null) => ({
  ...child.name,
  actor: caller.actor,
  causationId,
})

const noteFailure =
  (plan: SwapPlan, causationId: number | null = null) =>
  ({ message }: { readonly message: string }) => {
    const payload = { from: plan.from, to: plan.child.revision, reason: withoutTokens(message) }
    return noteFact(draft("hot_swap_failed", payload, originOf(plan, causationId)))
  }

/** Makes it known that a swap begins, and keeps its artifact; answers the event's id. */
const begin = Effect.fnUntraced(function* (plan: SwapPlan) {
  const artifacts = yield* ArtifactStore
  const desired = yield* DesiredState
  const store = yield* EventStore
  const { from, source } = plan
  const { revision: to, spec } = plan.child
  const { artifact } = spec
  const started = draft("hot_swap_started", { from, to, artifact }, originOf(plan))
  const [event] = yield* store.append([started], artifacts.keep(artifact, source))
  yield* desired.record(event)
  plan.child.deployedAt = event.time
  return event.id
})

const checkHealth = Effect.fnUntraced(function* ({ instance, spec }: Child) {
  const { healthPath } = spec
  if (healthPath === null || instance === undefined) return
  const request = { method: "GET", url: `http://localhost${healthPath}`, headers: [], body: null }
  const unhealthy = (what: string) =>
    new SwapFailed({ reason: `its health path ${healthPath} ${what}` })
  const response = yield* Effect.scoped(instance.request(request)).pipe(
    Effect.mapError(({ message }) => unhealthy(`was not answered: ${message}`)),
    Effect.timeoutOrElse({
      duration: healthTimeoutMs,
      orElse: () => Effect.fail(unhealthy(`did not answer within ${healthTimeoutMs} ms`)),
    }),
  )
  if (response.status < 200 || response.status > 299) {
    return yield* unhealthy(`answered ${response.status}`)
  }
})

/** Starts the new revision and looks at it; nothing of it is left if it is no good. */
const prepare = Effect.fnUntraced(function* ({ child, swap }: SwapPlan, code: string) {
  const supervisor = yield* Supervisor
  yield* unlessSwapEnded(swap)(supervisor.start(child, code)).pipe(
    Effect.andThen(unlessSwapEnded(swap)(checkHealth(child))),
    Effect.onError(() => supervisor.stop(child, { force: true })),
  )
})

/** What made a revision that had taken over no good; it ends by itself, or is to be ended. */
interface Trouble {
  readonly reason: string
  readonly exit: InstanceExit | undefined
}

const troubleOf = (exit: InstanceExit): Trouble => ({
  reason: exit._tag === "Crashed" ? `it crashed: ${exit.reason}` : "it ended by itself",
  exit,
})

/** Watches the new revision for the window; what went wrong, if anything did. */
const observe = ({ child, rollbackWindowMs, swap }: SwapPlan) =>
  Effect.raceAllFirst(
    [
      Effect.map(child.instance!.exit, troubleOf),
      Effect.map(swap.ended, (reason): Trouble => ({ reason, exit: undefined })),
      Effect.as(Effect.sleep(rollbackWindowMs), undefined),
    ].map(Effect.interruptible),
  )

/** Gives requests back to what was there before, and ends the new revision. */
const takeBack = Effect.fnUntraced(function* (
  { child }: SwapPlan,
  previous: Child | undefined,
  force: boolean,
) {
  const readiness = yield* Readiness
  const registry = yield* Registry
  if (previous === undefined) registry.remove(child)
  else registry.put(previous)
  const { status } = SubscriptionRef.getUnsafe(readiness)
  const isWaiting = previous?.status === "starting" && previous.watcher === undefined
  if (isWaiting && status !== "recovering") {
    // Recovery has gone by while its place was taken.
    markFailed(previous, "recovery ran out of time")
  }
  const supervisor = yield* Supervisor
  yield* supervisor.stop(child, { force, timeoutMs: takeBackTimeoutMs })
})

const noteRollback = (plan: SwapPlan, startedId: number, reason: string) => {
  const payload = { from: plan.from, to: plan.child.revision, reason }
  return noteFact(draft("hot_swap_rolled_back", payload, originOf(plan, startedId)))
}

const rollBack = Effect.fnUntraced(function* (
  plan: SwapPlan,
  previous: Child | undefined,
  startedId: number,
  { exit, reason }: Trouble,
) {
  yield* takeBack(plan, previous, exit !== undefined)
  if (exit?._tag === "Crashed") yield* noteCrash(plan.child, exit)
  yield* noteRollback(plan, startedId, reason)
  return yield* new SwapRolledBack({ from: plan.from, to: plan.child.revision, reason })
})

/** Makes the swap a fact. An append that was refused may have become one all the same. */
const commit = Effect.fnUntraced(function* (plan: SwapPlan, startedId: number) {
  const desired = yield* DesiredState
  const store = yield* EventStore
  const { child, from } = plan
  const { name, revision, spec } = child
  const payload = { revision, previousRevision: from, spec }
  const done = draft("hot_swap_succeeded", payload, originOf(plan, startedId))
  const appended = yield* Effect.result(store.append([done]))
  if (appended._tag === "Success") {
    const [event] = appended.success
    yield* desired.record(event)
    child.deployedAt = event.time
    return
  }
  const state = yield* Effect.option(desired.current)
  // As long as nobody can know, nothing is said about it; the next start tells the end.
  if (Option.isNone(state)) return yield* appended.failure
  const fact = factOf(state.value, name)
  if (fact?._tag !== "Deployed" || fact.eventId <= startedId) {
    yield* noteRollback(plan, startedId, appended.failure.message)
    return yield* appended.failure
  }
  child.deployedAt = fact.deployedAt
})

/** Swaps. Not to be interrupted: whoever hangs up must not leave two revisions, or none. */
export const hotSwap = Effect.fnUntraced(function* (plan: SwapPlan) {
  const compiler = yield* Compiler
  const registry = yield* Registry
  const supervisor = yield* Supervisor
  const { child, source, swap } = plan
  if (registry.get(child.name) === undefined) yield* requireRoom(child.name.tenantId)
  const compiled = compiler.compile(source, child.spec.format)
  const code = yield* Effect.tapError(compiled, noteFailure(plan))
  const startedId = yield* begin(plan)
  yield* Effect.tapError(prepare(plan, code), noteFailure(plan, startedId))
  // The service is locked: nobody puts another one there meanwhile.
  child.predecessor = registry.get(child.name)
  const previous = yield* Effect.tapError(admit(child), (refusal) =>
    Effect.andThen(supervisor.stop(child, { force: true }), noteFailure(plan, startedId)(refusal)),
  )
  const trouble = yield* Effect.onError(observe(plan), () => takeBack(plan, previous, true))
  if (trouble !== undefined) return yield* rollBack(plan, previous, startedId, trouble)
  yield* Effect.onError(commit(plan, startedId), () => takeBack(plan, previous, false))
  child.predecessor = undefined
  yield* swap.commit
  yield* supervisor.watch(child, code)
  if (previous !== undefined) yield* supervisor.stop(previous, { force: false })
  return yield* view(child)
})
