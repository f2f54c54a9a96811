/**
 * A kernel in memory for the gateway's tests: just enough of every port the plugin needs, with
 * switches for what should go wrong.
 */
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import {
  CapabilityManager,
  CompileFailed,
  type DeployError,
  Deployer,
  DeploymentEnded,
  draft,
  type Event,
  type EventDraft,
  type EventFilter,
  EventStore,
  EventTooLarge,
  Ingress,
  type IngressError,
  KernelStopping,
  KeyValueStore,
  LogOverloaded,
  NoPreviousRevision,
  type LogFilter,
  passes,
  type Phase,
  type RecoveryReport,
  Readiness,
  Replayer,
  RootToken,
  RootTokenKept,
  Runtime,
  Scheduler,
  ServiceConflict,
  ServiceLogs,
  type ServiceLogLine,
  type ServiceName,
  ServiceNotFound,
  type ServiceRequest,
  type ServiceResponse,
  type ServiceSpec,
  type ServiceView,
  SourceTooLarge,
  StartFailed,
  StartTimedOut,
  StorageError,
  type SwapError,
  SwapFailed,
  SwapInProgress,
  SwapRolledBack,
  type TenantId,
  TooManyServices,
  TooManySwaps,
  Vault,
  type VerificationReport,
  Verifier,
} from "solo"

import { layerCapabilityManager } from "../../../src/kernel/capability/CapabilityManagerIndexed.ts"
import { sha256 } from "../../kernel/Sha256.ts"
import { layerStores } from "../../kernel/Stores.ts"
import { layerTokens, layerVaults, newFile } from "../../kernel/Workbench.ts"
import { report } from "./FakeReport.ts"

export const rootToken = "root-token-for-tests-0123456789abcdef"

/** A clock that can be set forward: what tokens see. */
const makeClock = () => {
  const now = Effect.runSync(Clock.Clock)
  let aheadMs = 0
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => now.currentTimeMillisUnsafe() + aheadMs,
    currentTimeMillis: Effect.sync(() => now.currentTimeMillisUnsafe() + aheadMs),
    currentTimeNanosUnsafe: () => now.currentTimeNanosUnsafe() + BigInt(aheadMs) * 1_000_000n,
    currentTimeNanos: Effect.sync(
      () => now.currentTimeNanosUnsafe() + BigInt(aheadMs) * 1_000_000n,
    ),
    monotonicTimeNanosUnsafe: () => now.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: now.monotonicTimeNanos,
    sleep: (duration) => now.sleep(duration),
  }
  return { clock, advance: (ms: number) => void (aheadMs += ms) }
}

/** The real capability manager, vault and stores, on a database of their own. */
const realAuthority = (layerRootToken: Layer.Layer<RootToken>, clock: Clock.Clock) =>
  Layer.mergeAll(
    Layer.effect(CapabilityManager, CapabilityManager).pipe(
      Layer.provide(layerCapabilityManager()),
      Layer.provide(layerTokens(newFile())),
      Layer.provide(layerRootToken),
      Layer.provide(Layer.succeed(Clock.Clock, clock)),
      Layer.provide(SecureRandom.layerWebCrypto),
    ),
    Layer.effect(Vault, Vault).pipe(Layer.provide(layerVaults(newFile()))),
    Layer.effect(KeyValueStore, KeyValueStore).pipe(Layer.provide(layerStores())),
  )

/** What `deploy` fails with when the source is the key. */
export const deployFailures: Record<string, () => DeployError> = {
  conflict: () => new ServiceConflict({ serviceId: "x", revision: 1 }),
  large: () => new SourceTooLarge({ bytes: 2, maximum: 1 }),
  "too-many": () => new TooManyServices({ scope: "tenant", maximum: 1 }),
  compile: () => new CompileFailed({ message: "Unexpected token", line: 3, column: 7 }),
  start: () => new StartFailed({ message: "boom" }),
  slow: () => new StartTimedOut({ timeoutMs: 10 }),
  ended: () => new DeploymentEnded({ reason: "the service is being killed" }),
  stopping: () => new KernelStopping(),
  full: () =>
    new StorageError({ fault: "full", operation: "append", cause: "ENOSPC /secret/path" }),
  io: () => new StorageError({ fault: "io", operation: "append", cause: "EIO /secret/path" }),
  overloaded: () => new LogOverloaded({ waiting: 1024 }),
  event: () => new EventTooLarge({ type: "service_deployed", bytes: 2, maximum: 1 }),
}

/** Failures that a swap has beside those of a deployment, by the source that causes them. */
const swapFailures: Record<string, () => SwapError> = {
  ...deployFailures,
  busy: () => new SwapInProgress({ serviceId: "x" }),
  "too-many-swaps": () => new TooManySwaps({ maximum: 16 }),
  unhealthy: () => new SwapFailed({ reason: "its health path /up answered 500" }),
  back: () => new SwapRolledBack({ from: 1, to: 2, reason: "it crashed: boom" }),
}

type Serve = (
  name: ServiceName,
  request: ServiceRequest,
) => Effect.Effect<ServiceResponse, IngressError, Scope.Scope>

const matches = (filter: EventFilter) => (event: Event) =>
  (filter.tenantId === undefined || event.tenantId === filter.tenantId) &&
  (filter.serviceId === undefined || event.serviceId === filter.serviceId) &&
  (filter.types === undefined || filter.types.includes(event.type)) &&
  event.id > (filter.sinceId ?? 0) &&
  event.id <= (filter.untilId ?? Number.MAX_SAFE_INTEGER)

const verification: VerificationReport = {
  verificationId: 1,
  timestamp: "2026-01-01T00:00:00.000Z",
  durationMs: 1,
  full: false,
  status: "ok",
  consistencyChecks: {
    servicesDeployed: 0,
    servicesPresent: 0,
    servicesRunning: 0,
    servicesFailed: 0,
    servicesRecovered: 0,
    servicesKilled: 0,
    servicesBusy: 0,
    eventsChecked: 0,
    eventsFrom: 0,
    eventsTo: 0,
    eventsUnreadable: 0,
    clockStepsBack: 0,
    artifactsChecked: 0,
    checkpointsChecked: 0,
    registered: {},
  },
  inconsistencies: [],
  inconsistencyCount: 0,
  recommendations: [],
}

/** Starts a kernel. Its fields may be read and set while it runs. */
export const makeFakeKernel = () => {
  const events: Array<Event> = []
  const live = Effect.runSync(PubSub.unbounded<Event>())
  const phase = Effect.runSync(SubscriptionRef.make<Phase>({ status: "ready" }))
  const services = new Map<string, { spec: ServiceSpec; view: ServiceView }>()
  const lines = new Map<string, Array<ServiceLogLine>>()
  const control = {
    /** Events handed to subscribers so far. */
    pulled: 0,
    serve: (() => Effect.succeed({ status: 200, headers: [], body: null })) as Serve,
    report: undefined as RecoveryReport | undefined,
    deploying: Effect.void as Effect.Effect<void>,
    verification: undefined as VerificationReport | undefined,
    rootToken,
    /** Whether the root token may be replaced. */
    rotatable: false,
  }
  const { advance, clock } = makeClock()
  const key = (tenantId: string, serviceId: string) => `${tenantId}/${serviceId}`
  const find = (tenantId: string, serviceId: string) => {
    const found = services.get(key(tenantId, serviceId))
    return found === undefined
      ? Effect.fail(new ServiceNotFound({ serviceId }))
      : Effect.succeed(found)
  }
  const emit = (event: EventDraft): Event => {
    const id = events.length + 1
    const stored = {
      ...event,
      id,
      time: "2026-01-01T00:00:00.000Z",
      version: 1,
      hash: String(id).padStart(64, "0"),
    } as Event
    events.push(stored)
    PubSub.publishUnsafe(live, stored)
    return stored
  }

  const deployer = Deployer.of({
    deploy: Effect.fnUntraced(function* ({ actor, tenantId }, spec) {
      yield* control.deploying
      const failure = deployFailures[spec.source]
      if (failure !== undefined) return yield* failure()
      if (spec.source === "defect") return yield* Effect.die(new Error("secret-internals"))
      const before = services.get(key(tenantId, spec.serviceId))
      if (before?.spec.source === spec.source) return { service: before.view, created: false }
      const view: ServiceView = {
        tenantId,
        serviceId: spec.serviceId,
        revision: 1,
        status: "running",
        artifact: "0".repeat(64),
        deployedAt: "2026-01-01T00:00:00.000Z",
        startedAt: "2026-01-01T00:00:00.000Z",
        restarts: 0,
        lastError: null,
        memoryBytes: 1,
        cpuMs: 1,
        inFlight: 0,
      }
      services.set(key(tenantId, spec.serviceId), { spec, view })
      lines.set(key(tenantId, spec.serviceId), [])
      emit(
        draft(
          "service_killed",
          { revision: 1, force: false },
          { tenantId, serviceId: spec.serviceId, actor },
        ),
      )
      return { service: view, created: true }
    }),
    swap: Effect.fnUntraced(function* ({ tenantId }, spec, options = {}) {
      const { view } = yield* find(tenantId, spec.serviceId)
      if (swapFailures[spec.source]) return yield* swapFailures[spec.source]!()
      const next = { ...view, revision: view.revision + 1, restarts: options.rollbackWindowMs ?? 0 }
      services.set(key(tenantId, spec.serviceId), { spec, view: next })
      return next
    }),
    rollback: Effect.fnUntraced(function* ({ tenantId }, serviceId) {
      const { spec, view } = yield* find(tenantId, serviceId)
      if (view.revision === 1) return yield* new NoPreviousRevision({ serviceId, revision: 1 })
      const next = { ...view, revision: view.revision - 1 }
      services.set(key(tenantId, serviceId), { spec, view: next })
      return next
    }),
    kill: Effect.fnUntraced(function* ({ tenantId }, serviceId, options) {
      const { view } = yield* find(tenantId, serviceId)
      services.delete(key(tenantId, serviceId))
      return { ...view, status: "stopped", lastError: options?.force === true ? "forced" : null }
    }),
    status: (tenantId, serviceId) => Effect.map(find(tenantId, serviceId), ({ view }) => view),
    list: (tenantId, { after, limit, status }) =>
      Effect.sync(() =>
        [...services.values()]
          .map(({ view }) => view)
          .filter((view) => view.tenantId === tenantId)
          .filter((view) => status === undefined || view.status === status)
          .filter((view) => after === undefined || view.serviceId > after)
          .sort((left, right) => (left.serviceId < right.serviceId ? -1 : 1))
          .slice(0, limit),
      ),
  })

  const upToNow = (filter: EventFilter = {}) =>
    Stream.suspend(() => Stream.fromIterable(events.filter(matches(filter))))

  const eventStore = EventStore.of({
    emit: (event) => Effect.sync(() => emit(event)),
    append: () => Effect.die("not needed here"),
    stream: upToNow,
    filter: (filter = {}) =>
      Effect.sync(() => events.filter(matches(filter)).slice(0, filter.limit ?? 1000)),
    // The log is re-read from where the reader stands, as the real store does: nothing is queued.
    subscribe: (filter = {}) => {
      let at = filter.sinceId ?? 0
      return Stream.unwrap(
        Effect.map(PubSub.subscribe(live), (subscription) =>
          Stream.fromEffectRepeat(
            Effect.gen(function* () {
              while (at >= events.length) yield* PubSub.take(subscription)
              control.pulled++
              return events[at++]!
            }),
          ).pipe(Stream.filter(matches(filter))),
        ),
      )
    },
    lastId: Effect.sync(() => events.length),
    flush: Effect.void,
    unreadable: Effect.succeed(0),
  })

  const readLines = (name: ServiceName, filter: LogFilter = {}) =>
    Effect.map(find(name.tenantId, name.serviceId), () =>
      lines
        .get(key(name.tenantId, name.serviceId))!
        .map((line, index) => ({ ...line, id: index + 1 }))
        .filter((line) => passes(filter, line))
        .slice(0, filter.limit),
    )

  const layerRootToken = Layer.succeed(
    RootToken,
    RootToken.of({
      verify: (digest) => digest === sha256(control.rootToken),
      rotate: Effect.suspend(() => {
        if (!control.rotatable) {
          return Effect.fail(new RootTokenKept({ reason: "fixed", message: "change it outside" }))
        }
        control.rootToken = `${control.rootToken}+`
        return Effect.succeed(Redacted.make(control.rootToken))
      }),
    }),
  )

  const layer = Layer.mergeAll(
    Layer.succeed(Deployer, deployer),
    Layer.succeed(EventStore, eventStore),
    Layer.succeed(
      Ingress,
      Ingress.of({ request: (name, request) => control.serve(name, request) }),
    ),
    Layer.succeed(
      Replayer,
      Replayer.of({
        replayDeployments: Effect.sync(() => (control.report = report)),
        recoveryReport: Effect.sync(() => Option.fromUndefinedOr(control.report)),
      }),
    ),
    Layer.succeed(Readiness, Readiness.of(phase)),
    realAuthority(layerRootToken, clock),
    Layer.succeed(
      Verifier,
      Verifier.of({
        verifyConsistency: ({ full = false } = {}) =>
          Effect.sync(() => (control.verification = { ...verification, full })),
        verificationReport: Effect.sync(() => Option.fromUndefinedOr(control.verification)),
        progress: Effect.succeedNone,
        autoFix: () => Effect.succeed({ fixes: [], failures: [], verification }),
      }),
    ),
    Layer.succeed(
      Runtime,
      Runtime.of({
        driver: "fake",
        isolation: "none",
        walls: [{ name: "paper", stands: false, detail: "it fell" }],
        start: () => Effect.die("not needed here"),
      }),
    ),
    Layer.succeed(Scheduler, Scheduler.of({ schedulesOf: () => Effect.succeed([]) })),
    Layer.succeed(
      ServiceLogs,
      ServiceLogs.of({
        read: readLines,
        open: () => Effect.succeed(() => {}),
        close: () => Effect.void,
        follow: (name, filter) =>
          Stream.concat(Stream.fromIterableEffect(readLines(name, filter)), Stream.never),
      }),
    ),
  )

  return {
    layer,
    control,
    /** Lets time pass for tokens. */
    advance,
    events,
    lines,
    emit,
    emitFor: (tenantId: string, revision: number) =>
      emit(draft("service_killed", { revision, force: false }, { tenantId: tenantId as TenantId })),
    enter: (next: Phase) => Effect.runSync(SubscriptionRef.set(phase, next)),
  }
}
