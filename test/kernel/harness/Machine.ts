/**
 * Kernels on real SQLite files and scripted services: booting them, halting them cleanly, pulling
 * their plug. Time is the test's clock.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"

import type { makeConnection } from "../../../plugins/sqlite/Connection.ts"
import { layerSqlite } from "../../../plugins/sqlite/index.ts"
import { ServiceId, type ServiceName, TenantId } from "../../../src/domain/Identifier.ts"
import { ServiceSpec } from "../../../src/domain/ServiceSpec.ts"
import { CapabilityManager } from "../../../src/kernel/capability/CapabilityManager.ts"
import { layerKernel } from "../../../src/kernel/Kernel.ts"
import { KernelSettings } from "../../../src/kernel/KernelConfig.ts"
import { Lifecycle } from "../../../src/kernel/Lifecycle.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { Readiness } from "../../../src/kernel/Readiness.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Replayer } from "../../../src/kernel/recovery/Replayer.ts"
import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { Scheduler } from "../../../src/kernel/schedule/Scheduler.ts"
import { Deployer } from "../../../src/kernel/services/Deployer.ts"
import { Ingress } from "../../../src/kernel/services/Ingress.ts"
import { LogStore } from "../../../src/kernel/services/LogStore.ts"
import { Registry } from "../../../src/kernel/services/Registry.ts"
import { ServiceLogs } from "../../../src/kernel/services/ServiceLogs.ts"
import { startup } from "../../../src/kernel/Startup.ts"
import { KeyValueStore } from "../../../src/kernel/store/KeyValueStore.ts"
import { Vault } from "../../../src/kernel/vault/Vault.ts"
import { layerNoNetwork } from "../NoNetwork.ts"
import { layerSecrets } from "../Secrets.ts"
import { layerDigest } from "../Sha256.ts"
import { type Disk, makeDisk, takeImage } from "./Disk.ts"
import { makeWorld, type Script, scripted, type World } from "./ScriptedRuntime.ts"

/** Everything a test may ask a kernel for. */
export interface Kernel {
  readonly disk: Disk
  readonly world: World
  readonly scope: Scope.Closeable
  readonly deployer: Deployer["Service"]
  readonly ingress: Ingress["Service"]
  readonly store: EventStore["Service"]
  readonly replayer: Replayer["Service"]
  readonly verifier: Verifier["Service"]
  readonly registry: Registry["Service"]
  readonly desired: DesiredState["Service"]
  readonly lifecycle: Lifecycle["Service"]
  readonly readiness: Readiness["Service"]
  readonly logs: ServiceLogs["Service"]
  readonly scheduler: Scheduler["Service"]
  readonly stores: KeyValueStore["Service"]
  readonly vault: Vault["Service"]
  readonly capabilities: CapabilityManager["Service"]
}

/** How to boot. */
export interface BootOptions {
  readonly disk?: Disk
  readonly world?: World
  readonly settings?: Partial<KernelSettings>
  readonly open?: typeof makeConnection
  /** Who hears what the kernel says; nobody, if it is not said. */
  readonly logger?: Logger.Logger<unknown, void>
}

const decodeSettings = Schema.decodeUnknownSync(KernelSettings)

/** Builds a kernel without starting it up: nothing is folded or recovered yet. */
export const build = Effect.fnUntraced(function* (options: BootOptions = {}) {
  const disk = options.disk ?? makeDisk()
  const world = options.world ?? makeWorld()
  const scope = yield* Scope.make()
  const layer = layerKernel({
    settings: decodeSettings({ ...options.settings }),
    identity: { kernelVersion: "0.0.0-test", pid: 1 },
  }).pipe(
    Layer.provide(world.layer),
    Layer.provide(layerSqlite({ filename: disk.database, busyTimeoutMs: 0 }, options.open)),
    Layer.provide(Layer.mergeAll(layerDigest, layerSecrets, layerNoNetwork, LogStore.layerMemory)),
    Layer.provideMerge(Logger.layer(options.logger === undefined ? [] : [options.logger])),
  )
  const context = yield* Layer.buildWithScope(layer, scope).pipe(
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
  )
  const kernel: Kernel = {
    disk,
    world,
    scope,
    deployer: Context.get(context, Deployer),
    ingress: Context.get(context, Ingress),
    store: Context.get(context, EventStore),
    replayer: Context.get(context, Replayer),
    verifier: Context.get(context, Verifier),
    registry: Context.get(context, Registry),
    desired: Context.get(context, DesiredState),
    lifecycle: Context.get(context, Lifecycle),
    readiness: Context.get(context, Readiness),
    logs: Context.get(context, ServiceLogs),
    scheduler: Context.get(context, Scheduler),
    stores: Context.get(context, KeyValueStore),
    vault: Context.get(context, Vault),
    capabilities: Context.get(context, CapabilityManager),
  }
  const start = startup(() => "the test ends").pipe(
    Scope.provide(scope),
    Effect.provideContext(context),
  )
  return [kernel, start] as const
})

/** Boots a kernel until it is ready. It is closed with the test's scope, if it still runs then. */
export const boot = Effect.fnUntraced(function* (options: BootOptions = {}) {
  const [kernel, start] = yield* build(options)
  yield* start
  yield* Effect.addFinalizer(() => halt(kernel))
  return kernel
})

/** Shuts a kernel down as a signal would. Idempotent. */
export const halt = (kernel: Kernel): Effect.Effect<void> => Scope.close(kernel.scope, Exit.void)

/** What a `kill -9` at this instant leaves; the kernel itself goes on, for its test to forget. */
export const pullPlug = (kernel: Kernel): Disk => takeImage(kernel.disk)

/** Lets every fiber that can go on go on, without moving the clock. */
export const settle = Effect.repeat(Effect.yieldNow, { times: 60 })

/** Moves the clock, in steps small enough for chains of timers, letting fibers go on in between. */
export const pass = Effect.fnUntraced(function* (milliseconds: number, step = milliseconds) {
  yield* settle
  for (let passed = 0; passed < milliseconds; passed += step) {
    yield* TestClock.adjust(Math.min(step, milliseconds - passed))
    yield* settle
  }
})

/** A service's name. */
export const named = (tenant: string, service: string): ServiceName => ({
  tenantId: TenantId.make(tenant),
  serviceId: ServiceId.make(service),
})

const decodeSpec = Schema.decodeUnknownSync(ServiceSpec)

/** A spec with a scripted source. */
export const specOf = (
  service: string,
  script: Script = {},
  terms: Record<string, unknown> = {},
): ServiceSpec => decodeSpec({ serviceId: service, source: scripted(script), ...terms })

/** The caller `tenant`. */
export const callerOf = (tenant: string) => ({
  tenantId: TenantId.make(tenant),
  actor: "token-of-the-test",
})

/** Deploys a scripted service. */
export const deploy = (
  kernel: Kernel,
  name: ServiceName,
  script: Script = {},
  terms: Record<string, unknown> = {},
) => kernel.deployer.deploy(callerOf(name.tenantId), specOf(name.serviceId, script, terms))

/** Swaps a service for one with another script. */
export const swap = (
  kernel: Kernel,
  name: ServiceName,
  script: Script,
  rollbackWindowMs = 0,
  terms: Record<string, unknown> = {},
) =>
  kernel.deployer.swap(callerOf(name.tenantId), specOf(name.serviceId, script, terms), {
    rollbackWindowMs,
  })

/** Swaps a service back. */
export const rollback = (kernel: Kernel, name: ServiceName, rollbackWindowMs = 0) =>
  kernel.deployer.rollback(callerOf(name.tenantId), name.serviceId, { rollbackWindowMs })

/** Kills a service. */
export const kill = (kernel: Kernel, name: ServiceName, force = false) =>
  kernel.deployer.kill(callerOf(name.tenantId), name.serviceId, { force })

/** A service's status, or `absent`. */
export const statusOf = (kernel: Kernel, name: ServiceName) =>
  kernel.deployer.status(name.tenantId, name.serviceId).pipe(
    Effect.map((view) => view.status as string),
    Effect.orElseSucceed(() => "absent"),
  )

/** The services that run, `tenant/service@revision`, sorted: by registry and by driver alike. */
export const running = (kernel: Kernel): ReadonlyArray<string> =>
  [...kernel.world.living].map(({ key, revision }) => `${key}@${revision}`).sort()

/** The types of all events, in order. */
export const typesOf = (kernel: Kernel) =>
  Effect.map(kernel.store.filter({}), (events) => events.map((event) => event.type))
