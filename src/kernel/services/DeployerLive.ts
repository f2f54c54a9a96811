/**
 * The deployer at work: decision, start, append, answer, in that order and under the service's
 * lock (design: data flow). Whatever fails leaves everything as it was.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { decideDeploy, decideRollback, decideSwap } from "../../domain/Decision.ts"
import { draft, type EventDraft } from "../../domain/Event.ts"
import type { ServiceId, ServiceName } from "../../domain/Identifier.ts"
import {
  type LoggedSpec,
  maxSourceBytes,
  type ServiceSpec,
  toLogged,
} from "../../domain/ServiceSpec.ts"
import { factOf } from "../../domain/State.ts"
import { withoutTokens } from "../../domain/Token.ts"
import type { KernelConfig } from "../KernelConfig.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { EventStore } from "../log/EventStore.ts"
import { note } from "../log/Note.ts"
import { Readiness } from "../Readiness.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import { admit } from "./Admission.ts"
import { Compiler } from "./Compiler.ts"
import {
  type Caller,
  Deployer,
  defaultRollbackWindowMs,
  KernelStopping,
  NoPreviousRevision,
  ServiceConflict,
  ServiceNotFound,
  SourceTooLarge,
  SwapInProgress,
  type StartTimedOut,
  type SwapOptions,
} from "./Deployer.ts"
import { hotSwap } from "./HotSwap.ts"
import { type Child, makeChild, Registry, view } from "./Registry.ts"
import type { StartFailed } from "./Runtime.ts"
import { list, status } from "./ServiceList.ts"
import { ServiceLock } from "./ServiceLock.ts"
import { ServiceLogs } from "./ServiceLogs.ts"
import { Supervisor } from "./Supervisor.ts"
import { type OpenSwap, Swaps, unlessEnded } from "./Swaps.ts"

const refuseWhenStopping = Effect.flatMap(Readiness, (readiness) =>
  SubscriptionRef.getUnsafe(readiness).status === "stopping"
    ? Effect.fail(new KernelStopping())
    : Effect.void,
)

/** Logs a refusal on the way out. If that fails too, the refusal itself is what matters. */
const noteRefusal =
  (caller: Caller, { artifact, serviceId }: LoggedSpec) =>
  ({ message }: { readonly message: string }) => {
    const payload = { artifact, reason: withoutTokens(message) }
    return note(draft("service_deployment_failed", payload, { ...caller, serviceId }))
  }

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

/** Deploys under the lock; `bounded` may end the start before its time. */
const deployLocked = Effect.fnUntraced(function* <E extends { readonly message: string }>(
  caller: Caller,
  source: string,
  spec: LoggedSpec,
  bounded: (start: Start) => Effect.Effect<void, E>,
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
    admit(child).pipe(
      Effect.andThen(Effect.tapError(bounded(supervisor.start(child, code)), refused)),
      Effect.andThen(created ? record(succession, deployed) : Effect.void),
      Effect.onError(() => putBack(succession)),
      Effect.andThen(establish(succession)),
      Effect.map((service) => ({ service, created })),
    ),
  )
})

/** The spec as it is logged, if its source is not too large. */
const loggedOf = Effect.fnUntraced(function* (spec: ServiceSpec) {
  const artifacts = yield* ArtifactStore
  const bytes = new TextEncoder().encode(spec.source).length
  if (bytes > maxSourceBytes) {
    return yield* new SourceTooLarge({ bytes, maximum: maxSourceBytes })
  }
  return toLogged(spec, artifacts.idOf(spec.source))
})

const deploy = Effect.fn("Deployer.deploy")(function* (caller: Caller, spec: ServiceSpec) {
  yield* refuseWhenStopping
  const locks = yield* ServiceLock
  const swaps = yield* Swaps
  const logged = yield* loggedOf(spec)
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  if (swaps.isOpen(name)) return yield* new SwapInProgress({ ...name })
  return yield* locks.hold(name)(deployLocked(caller, spec.source, logged, identity))
})

const swapLocked = Effect.fnUntraced(function* (
  caller: Caller,
  source: string,
  spec: LoggedSpec,
  { rollbackWindowMs = defaultRollbackWindowMs }: SwapOptions,
  swap: OpenSwap,
) {
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  const fact = factOf(yield* (yield* DesiredState).current, name)
  const current = (yield* Registry).get(name)
  yield* refuseWhenStopping
  const decision = decideSwap(fact, current, spec)
  switch (decision._tag) {
    case "NotFound":
      return yield* new ServiceNotFound({ ...name })
    case "Unchanged":
      yield* swap.commit
      return yield* view(current!)
    case "StartAgain": {
      const { service } = yield* deployLocked(caller, source, spec, unlessEnded(swap))
      yield* swap.commit
      return service
    }
    case "Swap": {
      const { from, to } = decision
      const child = makeChild({ name, revision: to, spec, deployedAt: "" })
      return yield* hotSwap({ caller, child, from, source, rollbackWindowMs, swap })
    }
  }
})

const swap = Effect.fn("Deployer.swap")(function* (
  caller: Caller,
  spec: ServiceSpec,
  options: SwapOptions = {},
) {
  yield* refuseWhenStopping
  const locks = yield* ServiceLock
  const swaps = yield* Swaps
  const logged = yield* loggedOf(spec)
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  return yield* swaps.open(name)((open) =>
    locks.hold(name)(
      Effect.uninterruptible(swapLocked(caller, spec.source, logged, options, open)),
    ),
  )
})

const rollbackLocked = Effect.fnUntraced(function* (
  caller: Caller,
  name: ServiceName,
  { rollbackWindowMs = defaultRollbackWindowMs }: SwapOptions,
  swap: OpenSwap,
) {
  const { serviceId } = name
  const fact = factOf(yield* (yield* DesiredState).current, name)
  yield* refuseWhenStopping
  const decision = decideRollback(fact)
  if (decision._tag === "NotFound") return yield* new ServiceNotFound({ serviceId })
  if (decision._tag === "NoPrevious") {
    return yield* new NoPreviousRevision({ serviceId, revision: fact!.revision })
  }
  const { from, to } = decision
  const source = yield* (yield* ArtifactStore).load(to.spec.artifact)
  const child = makeChild({ name, ...to, deployedAt: "" })
  return yield* hotSwap({ caller, child, from, source, rollbackWindowMs, swap })
})

const rollback = Effect.fn("Deployer.rollback")(function* (
  caller: Caller,
  serviceId: ServiceId,
  options: SwapOptions = {},
) {
  yield* refuseWhenStopping
  const locks = yield* ServiceLock
  const swaps = yield* Swaps
  const name = { tenantId: caller.tenantId, serviceId }
  if (yield* swaps.end(name, "a rollback was asked for")) {
    return yield* status(name.tenantId, serviceId)
  }
  return yield* swaps.open(name)((open) =>
    locks.hold(name)(Effect.uninterruptible(rollbackLocked(caller, name, options, open))),
  )
})

const killLocked = Effect.fnUntraced(function* (caller: Caller, name: ServiceName, force: boolean) {
  const desired = yield* DesiredState
  const registry = yield* Registry
  const store = yield* EventStore
  const fact = factOf(yield* desired.current, name)
  const here = registry.get(name)
  if (fact?._tag === "Deployed") {
    const payload = { revision: fact.revision, force }
    const killed = draft("service_killed", payload, { ...caller, ...name })
    const [event] = yield* store.append([killed])
    yield* desired.record(event)
  }
  // What still runs although the log has it dead is ended with nothing more to log.
  const child = here ?? (fact?._tag === "Deployed" ? makeChild(fact) : undefined)
  if (child === undefined) return yield* new ServiceNotFound({ serviceId: name.serviceId })
  yield* (yield* Supervisor).stop(child, { force })
  registry.remove(child)
  yield* (yield* ServiceLogs).close(name)
  return yield* view(child)
})

const kill = Effect.fn("Deployer.kill")(function* (
  caller: Caller,
  serviceId: ServiceId,
  options: { readonly force?: boolean | undefined } = {},
) {
  yield* refuseWhenStopping
  const locks = yield* ServiceLock
  const swaps = yield* Swaps
  const name = { tenantId: caller.tenantId, serviceId }
  // Once the kill is a fact the service must be stopped, whether or not the caller waits.
  const ending = Effect.uninterruptible(killLocked(caller, name, options.force ?? false))
  return yield* swaps.bar(name, "the service is being killed")(locks.hold(name)(ending))
})

/** The deployer. */
export const layerDeployer = Layer.effect(
  Deployer,
  Effect.map(
    Effect.context<
      | ArtifactStore
      | Compiler
      | DesiredState
      | EventStore
      | KernelConfig
      | Readiness
      | Registry
      | ServiceLock
      | ServiceLogs
      | Supervisor
      | Swaps
    >(),
    (context) =>
      Deployer.of({
        deploy: (caller, spec) => Effect.provideContext(deploy(caller, spec), context),
        swap: (caller, spec, options) =>
          Effect.provideContext(swap(caller, spec, options), context),
        rollback: (caller, id, options) =>
          Effect.provideContext(rollback(caller, id, options), context),
        kill: (caller, id, options) => Effect.provideContext(kill(caller, id, options), context),
        status: (tenantId, id) => Effect.provideContext(status(tenantId, id), context),
        list: (tenantId, options) => Effect.provideContext(list(tenantId, options), context),
      }),
  ),
)
