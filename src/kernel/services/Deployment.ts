/**
 * Carries out what a spec was sent for: a deployment, or a swap for the next revision. Decision,
 * start, append, answer, in that order and under the service's lock (design: data flow). Whatever
 * fails leaves everything as it was.
 */
import * as Effect from "effect/Effect"

import { decideDeploy, decideSwap } from "../../domain/Decision.ts"
import { draft, type EventDraft } from "../../domain/Event.ts"
import type { LoggedSpec, ServiceSpec } from "../../domain/ServiceSpec.ts"
import { factOf } from "../../domain/State.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { EventStore } from "../log/EventStore.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import { admit } from "./Admission.ts"
import { Compiler } from "./Compiler.ts"
import {
  type Caller,
  defaultRollbackWindowMs,
  DeploymentEnded,
  KernelStopping,
  ServiceConflict,
  ServiceNotFound,
  type StartTimedOut,
  type SwapFailed,
  SwapInProgress,
  type SwapOptions,
} from "./Deployer.ts"
import { kernelStops, unlessEnded } from "./Endings.ts"
import { hotSwap } from "./HotSwap.ts"
import { loggedOf, noteRefusal, refuseIdleEnding, refuseWhenStopping } from "./Refusal.ts"
import { type Child, makeChild, Registry, view } from "./Registry.ts"
import type { StartFailed } from "./Runtime.ts"
import { ServiceLogs } from "./ServiceLogs.ts"
import { Starts } from "./Starts.ts"
import { Supervisor } from "./Supervisor.ts"
import { type OpenSwap, Swaps, unlessSwapEnded } from "./Swaps.ts"

/** Why a deployment does not wait for the start of another spec. */
const reason = "a newer deployment takes its place"

/** A child about to take the place of another. */
interface Succession {
  readonly child: Child
  readonly previous: Child | undefined
  readonly source: string
  readonly code: string
}

/** Ends a child that took a place for nothing, and gives the place back. */
const putBack = Effect.fnUntraced(function* ({ child, previous }: Succession) {
  const registry = yield* Registry
  yield* (yield* Supervisor).stop(child, { force: true })
  registry.remove(child)
  if (previous !== undefined) registry.put(previous)
  else yield* (yield* ServiceLogs).close(child.name)
})

/** Makes a started child a fact. */
const record = Effect.fnUntraced(function* (succession: Succession, fact: EventDraft) {
  const artifacts = yield* ArtifactStore
  const desired = yield* DesiredState
  const store = yield* EventStore
  const { child, source } = succession
  const [event] = yield* store.append([fact], artifacts.keep(child.spec.artifact, source))
  child.deployedAt = event.time
  yield* desired.record(event)
})

/** Hands over to a child that runs and is a fact. */
const establish = Effect.fnUntraced(function* ({ child, previous, code }: Succession) {
  const supervisor = yield* Supervisor
  if (previous !== undefined) yield* supervisor.stop(previous, { force: true })
  yield* supervisor.watch(child, code)
  return yield* view(child)
})

type Start = Effect.Effect<void, StartFailed | StartTimedOut>

/** Carries out the start of a child, which may be ended before its time, and all that follows. */
type Carry<E> = <A, E2, R>(
  child: Child,
  use: (
    bounded: (start: Start) => Effect.Effect<void, E | StartFailed | StartTimedOut>,
  ) => Effect.Effect<A, E2, R>,
) => Effect.Effect<A, E2, R>

/** Deploys under the lock. */
const deployLocked = Effect.fnUntraced(function* <E extends { readonly message: string }>(
  caller: Caller,
  source: string,
  spec: LoggedSpec,
  carry: Carry<E>,
) {
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  const fact = factOf(yield* (yield* DesiredState).current, name)
  // Looked up after the wait for the log: recovery may have put the service in its place meanwhile.
  const previous = (yield* Registry).get(name)
  yield* refuseWhenStopping
  const decision = decideDeploy(fact, previous, spec)
  if (decision._tag === "Unchanged") return { service: yield* view(previous!), created: false }
  if (decision._tag === "Conflict") {
    return yield* new ServiceConflict({ ...name, revision: decision.revision })
  }
  const { revision } = decision
  const created = decision._tag === "Deploy"
  const deployedAt = fact?._tag === "Deployed" ? fact.deployedAt : ""
  const child = makeChild({ name, revision, spec, deployedAt })
  const refused = noteRefusal(caller, spec)
  const compiler = yield* Compiler
  const supervisor = yield* Supervisor
  const code = yield* Effect.tapError(compiler.compile(source, spec.format), refused)
  const succession: Succession = { child, previous, source, code }
  const deployed = draft("service_deployed", { revision, spec }, { ...caller, ...name })
  // Once it has started, and until it is supervised and a fact, nothing may interrupt: a caller
  // that hangs up must not leave a service that runs and is not logged, or the reverse.
  return yield* Effect.uninterruptible(
    carry(child, (bounded) =>
      admit(child).pipe(
        Effect.andThen(Effect.tapError(bounded(supervisor.start(child, code)), refused)),
        Effect.andThen(created ? record(succession, deployed) : Effect.void),
        Effect.onError(() => putBack(succession)),
        Effect.andThen(establish(succession)),
        Effect.map((service) => ({ service, created })),
      ),
    ),
  )
})

const endedBy = (why: string) =>
  why === kernelStops ? new KernelStopping() : new DeploymentEnded({ reason: why })

/** @see Deployer.deploy */
export const deploy = Effect.fn("Deployer.deploy")(function* (caller: Caller, spec: ServiceSpec) {
  yield* refuseWhenStopping
  const starts = yield* Starts
  const swaps = yield* Swaps
  const logged = yield* loggedOf(spec)
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  if (swaps.isOpen(name)) return yield* new SwapInProgress({ ...name })
  yield* refuseIdleEnding(caller, spec.source, logged)
  const carry: Carry<DeploymentEnded | KernelStopping> = (child, use) =>
    // A caller that hangs up gives the start up, too.
    starts.open(child)((open) =>
      use((start) => Effect.interruptible(unlessEnded(open, endedBy)(start))),
    )
  return yield* starts.preempt(name, { reason, spared: logged })(() =>
    deployLocked(caller, spec.source, logged, carry),
  )
})

/** What to swap, and for what. */
interface SwapRequest {
  readonly caller: Caller
  readonly source: string
  readonly spec: LoggedSpec
  readonly options: SwapOptions
  readonly swap: OpenSwap
  /** Whether a start that was under way was ended for it. */
  readonly hasEnded: boolean
}

const swapLocked = Effect.fnUntraced(function* (request: SwapRequest) {
  const { caller, source, spec, swap } = request
  const { rollbackWindowMs = defaultRollbackWindowMs } = request.options
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  const fact = factOf(yield* (yield* DesiredState).current, name)
  const current = (yield* Registry).get(name)
  yield* refuseWhenStopping
  const start = Effect.gen(function* () {
    const carry: Carry<SwapFailed> = (_, use) => use(unlessSwapEnded(swap))
    const { service } = yield* deployLocked(caller, source, spec, carry)
    yield* swap.commit
    return service
  })
  const decision = decideSwap(fact, current, spec)
  switch (decision._tag) {
    case "NotFound":
      // What it took the place of was about to be there.
      return yield* request.hasEnded ? start : new ServiceNotFound({ ...name })
    case "Unchanged":
      yield* swap.commit
      return yield* view(current!)
    case "StartAgain":
      return yield* start
    case "Swap": {
      const { from, to } = decision
      const child = makeChild({ name, revision: to, spec, deployedAt: "" })
      return yield* hotSwap({ caller, child, from, source, rollbackWindowMs, swap })
    }
  }
})

/** @see Deployer.swap */
export const swap = Effect.fn("Deployer.swap")(function* (
  caller: Caller,
  spec: ServiceSpec,
  options: SwapOptions = {},
) {
  yield* refuseWhenStopping
  const starts = yield* Starts
  const swaps = yield* Swaps
  const { source } = spec
  const logged = yield* loggedOf(spec)
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  return yield* swaps.open(name)((open) =>
    refuseIdleEnding(caller, source, logged).pipe(
      Effect.andThen(
        starts.preempt(name, { reason, spared: logged })((hasEnded) =>
          Effect.uninterruptible(
            swapLocked({ caller, source, spec: logged, options, swap: open, hasEnded }),
          ),
        ),
      ),
    ),
  )
})
