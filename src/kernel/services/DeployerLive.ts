/**
 * The deployer at work: decision, start, append, answer, in that order and under the service's
 * lock (design: data flow). Whatever fails leaves everything as it was.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { decideDeploy } from "../../domain/Decision.ts"
import { draft, type EventDraft } from "../../domain/Event.ts"
import type { ServiceId, ServiceName, TenantId } from "../../domain/Identifier.ts"
import {
  type LoggedSpec,
  maxSourceBytes,
  type ServiceSpec,
  toLogged,
} from "../../domain/ServiceSpec.ts"
import { factOf, shouldRun } from "../../domain/State.ts"
import { KernelConfig } from "../KernelConfig.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { EventStore } from "../log/EventStore.ts"
import { note } from "../log/Note.ts"
import { Readiness } from "../Readiness.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import { Compiler } from "./Compiler.ts"
import {
  type Caller,
  Deployer,
  KernelStopping,
  type ListOptions,
  ServiceConflict,
  ServiceNotFound,
  SourceTooLarge,
  TooManyServices,
} from "./Deployer.ts"
import { type Child, makeChild, Registry, view } from "./Registry.ts"
import { ServiceLock } from "./ServiceLock.ts"
import { ServiceLogs } from "./ServiceLogs.ts"
import { Supervisor } from "./Supervisor.ts"

const refuseWhenStopping = Effect.flatMap(Readiness, (readiness) =>
  SubscriptionRef.getUnsafe(readiness).status === "stopping"
    ? Effect.fail(new KernelStopping())
    : Effect.void,
)

/** Logs a refusal on the way out. If that fails too, the refusal itself is what matters. */
const noteRefusal =
  (caller: Caller, { artifact, serviceId }: LoggedSpec) =>
  ({ message: reason }: { readonly message: string }) =>
    note(draft("service_deployment_failed", { artifact, reason }, { ...caller, serviceId }))

/** A child about to take the place of another. */
interface Succession {
  readonly child: Child
  readonly previous: Child | undefined
  readonly source: string
  readonly code: string
}

const putBack = Effect.fnUntraced(function* ({ child, previous }: Succession) {
  const registry = yield* Registry
  registry.remove(child)
  if (previous !== undefined) registry.put(previous)
  else yield* (yield* ServiceLogs).close(child.name)
})

/** Puts the child in its place, if there is room for one more; check and place are one step. */
const admit = Effect.fnUntraced(function* ({ child, previous }: Succession) {
  const { maxServices, maxServicesPerTenant } = yield* KernelConfig
  const registry = yield* Registry
  if (previous === undefined) {
    if (registry.countOf(child.name.tenantId) >= maxServicesPerTenant) {
      return yield* new TooManyServices({ scope: "tenant", maximum: maxServicesPerTenant })
    }
    if (registry.count() >= maxServices) {
      return yield* new TooManyServices({ scope: "kernel", maximum: maxServices })
    }
  }
  registry.put(child)
})

/** Makes a started child a fact; if that fails, it is stopped again and the caller is told. */
const record = Effect.fnUntraced(function* (succession: Succession, fact: EventDraft) {
  const artifacts = yield* ArtifactStore
  const desired = yield* DesiredState
  const store = yield* EventStore
  const supervisor = yield* Supervisor
  const { child, source } = succession
  const [event] = yield* store
    .append([fact], artifacts.keep(child.spec.artifact, source))
    .pipe(Effect.onError(() => supervisor.stop(child, { force: true })))
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

const deployLocked = Effect.fnUntraced(function* (
  caller: Caller,
  source: string,
  spec: LoggedSpec,
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
    admit(succession).pipe(
      Effect.andThen(Effect.tapError(supervisor.start(child, code), refused)),
      Effect.andThen(created ? record(succession, deployed) : Effect.void),
      Effect.onError(() => putBack(succession)),
      Effect.andThen(establish(succession)),
      Effect.map((service) => ({ service, created })),
    ),
  )
})

const deploy = Effect.fn("Deployer.deploy")(function* (caller: Caller, spec: ServiceSpec) {
  yield* refuseWhenStopping
  const artifacts = yield* ArtifactStore
  const locks = yield* ServiceLock
  const bytes = new TextEncoder().encode(spec.source).length
  if (bytes > maxSourceBytes) {
    return yield* new SourceTooLarge({ bytes, maximum: maxSourceBytes })
  }
  const logged = toLogged(spec, artifacts.idOf(spec.source))
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  return yield* locks.hold(name)(deployLocked(caller, spec.source, logged))
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
  const name = { tenantId: caller.tenantId, serviceId }
  // Once the kill is a fact the service must be stopped, whether or not the caller waits.
  const ending = Effect.uninterruptible(killLocked(caller, name, options.force ?? false))
  return yield* locks.hold(name)(ending)
})

/**
 * A tenant's children in order of their ids. Until recovery has come to all of them, those that
 * only the log knows are shown as starting: what should run is never shown as absent.
 */
const childrenOf = Effect.fnUntraced(function* (tenantId: TenantId) {
  const registry = yield* Registry
  const readiness = yield* Readiness
  if (SubscriptionRef.getUnsafe(readiness).status !== "recovering")
    return registry.ofTenant(tenantId)
  const facts = shouldRun(yield* (yield* DesiredState).get)
  const absent = facts.filter(
    ({ name }) => name.tenantId === tenantId && registry.get(name) === undefined,
  )
  return [...registry.ofTenant(tenantId), ...absent.map(makeChild)].sort((left, right) =>
    left.name.serviceId < right.name.serviceId ? -1 : 1,
  )
})

const status = Effect.fn("Deployer.status")(function* (tenantId: TenantId, serviceId: ServiceId) {
  const known = (yield* Registry).get({ tenantId, serviceId })
  const child =
    known ?? (yield* childrenOf(tenantId)).find(({ name }) => name.serviceId === serviceId)
  if (child === undefined) return yield* new ServiceNotFound({ serviceId })
  return yield* view(child)
})

const list = Effect.fn("Deployer.list")(function* (
  tenantId: TenantId,
  { status, after, limit }: ListOptions,
) {
  const matching = (yield* childrenOf(tenantId))
    .filter((child) => status === undefined || child.status === status)
    .filter((child) => after === undefined || child.name.serviceId > after)
  return yield* Effect.forEach(matching.slice(0, limit), view)
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
    >(),
    (context) =>
      Deployer.of({
        deploy: (caller, spec) => Effect.provideContext(deploy(caller, spec), context),
        kill: (caller, id, options) => Effect.provideContext(kill(caller, id, options), context),
        status: (tenantId, id) => Effect.provideContext(status(tenantId, id), context),
        list: (tenantId, options) => Effect.provideContext(list(tenantId, options), context),
      }),
  ),
)
