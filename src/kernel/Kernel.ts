/**
 * The kernel as one layer: its services on whatever storage, runtime and compiler the driver
 * plugins provide.
 */
import { Aead } from "effect/crypto/Aead"
import { SecureRandom } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"

import { CapabilityManager } from "./capability/CapabilityManager.ts"
import {
  defaultCapabilityOptions,
  layerCapabilityManager,
} from "./capability/CapabilityManagerIndexed.ts"
import { RootToken } from "./capability/RootToken.ts"
import { layerTokensAudit } from "./capability/TokensAudit.ts"
import { TokenStore } from "./capability/TokenStore.ts"
import { layerTokenStore } from "./capability/TokenStoreSql.ts"
import { KernelConfig, type KernelSettings } from "./KernelConfig.ts"
import { layerLifecycle, Lifecycle } from "./Lifecycle.ts"
import { ArtifactStore } from "./log/ArtifactStore.ts"
import { Digest } from "./log/Digest.ts"
import { EventStore } from "./log/EventStore.ts"
import { layerEventStore } from "./log/EventStoreSql.ts"
import { Storage } from "./log/Storage.ts"
import { Readiness } from "./Readiness.ts"
import { Checkpoints } from "./recovery/Checkpoints.ts"
import { layerCheckpoints } from "./recovery/CheckpointsSql.ts"
import { DesiredState } from "./recovery/DesiredState.ts"
import { Replayer } from "./recovery/Replayer.ts"
import { layerReplayer } from "./recovery/ReplayerLive.ts"
import { Verifier, VerifierChecks } from "./recovery/Verifier.ts"
import { layerVerifier } from "./recovery/VerifierLive.ts"
import { Scheduler } from "./schedule/Scheduler.ts"
import { layerScheduler } from "./schedule/SchedulerLive.ts"
import { Compiler } from "./services/Compiler.ts"
import { Deployer } from "./services/Deployer.ts"
import { layerDeployer } from "./services/DeployerLive.ts"
import { Ingress } from "./services/Ingress.ts"
import { layerIngress } from "./services/IngressLive.ts"
import { LogStore } from "./services/LogStore.ts"
import { Network } from "./services/Network.ts"
import { layerOutbound } from "./services/OutboundLive.ts"
import { Registry } from "./services/Registry.ts"
import { Runtime } from "./services/Runtime.ts"
import { ServiceLock } from "./services/ServiceLock.ts"
import { ServiceLogs } from "./services/ServiceLogs.ts"
import { layerServiceLogs } from "./services/ServiceLogsKept.ts"
import { Starts } from "./services/Starts.ts"
import { layerSupervisor } from "./services/Supervisor.ts"
import { Swaps } from "./services/Swaps.ts"
import { KeyValueStore } from "./store/KeyValueStore.ts"
import { layerKeyValueStore } from "./store/KeyValueStoreSql.ts"
import { layerStoresAudit } from "./store/StoresAudit.ts"
import { MasterKeys } from "./vault/MasterKeys.ts"
import { Vault } from "./vault/Vault.ts"
import { layerVaultAudit } from "./vault/VaultAudit.ts"
import { layerVault } from "./vault/VaultSql.ts"

/** Which kernel this is, and how it is set up. */
export interface KernelOptions {
  readonly settings: KernelSettings
  /** The version of Solo, and the process it runs in. */
  readonly identity: { readonly kernelVersion: string; readonly pid: number }
}

/** What the kernel stands on. */
export const kernelNeeds = [
  SqlClient,
  Storage,
  Digest,
  Compiler,
  Runtime,
  Network,
  LogStore,
  RootToken,
  MasterKeys,
  SecureRandom,
  Aead,
] as const

/** What the kernel provides. */
export const kernelProvides = [
  KernelConfig,
  EventStore,
  Deployer,
  Ingress,
  ServiceLogs,
  Scheduler,
  Replayer,
  Readiness,
  Lifecycle,
  DesiredState,
  Checkpoints,
  Verifier,
  VerifierChecks,
  CapabilityManager,
  TokenStore,
  Vault,
  KeyValueStore,
] as const

/** What must be on disk before a run's last word. */
const layerFlushes = Layer.effectDiscard(
  Effect.gen(function* () {
    const lifecycle = yield* Lifecycle
    const capabilities = yield* CapabilityManager
    const vault = yield* Vault
    const stores = yield* KeyValueStore
    lifecycle.onFlush("the token store", capabilities.flush)
    lifecycle.onFlush("the vault", vault.flush)
    lifecycle.onFlush("the services' stores", stores.flush)
  }),
)

/** Finishes what the run before has left undone: within this run, so that its last word stays last. */
const layerResumption = Layer.effectDiscard(
  Effect.gen(function* () {
    const lifecycle = yield* Lifecycle
    const vault = yield* Vault
    // A run that could not even start is no clean one, however well it ends (promise 9).
    yield* Effect.tapError(vault.resumeRotation, ({ message }) =>
      lifecycle.failed(`replacement of the master key: ${message}`),
    )
  }),
)

/**
 * The kernel's services. Built from the bottom up and closed from the top down: services are
 * stopped before the log gets its last word, and that is on disk before storage closes. Tokens and
 * vault open before the run has its first word: a wrong master key refuses the start and writes
 * nothing.
 */
export const layerKernel = ({ settings, identity }: KernelOptions) =>
  Layer.mergeAll(layerDeployer, layerVerifier).pipe(
    Layer.provideMerge(layerReplayer),
    Layer.provideMerge(Layer.mergeAll(Starts.layer, Swaps.layer)),
    Layer.provideMerge(layerSupervisor),
    Layer.provideMerge(layerScheduler),
    Layer.provideMerge(layerOutbound),
    Layer.provideMerge(layerIngress),
    Layer.provideMerge(
      Layer.mergeAll(DesiredState.layer, ServiceLock.layer, layerServiceLogs, Registry.layer),
    ),
    Layer.provideMerge(layerCheckpoints),
    Layer.provideMerge(
      Layer.mergeAll(
        layerFlushes,
        layerResumption,
        layerTokensAudit,
        layerVaultAudit,
        layerStoresAudit,
      ),
    ),
    Layer.provideMerge(layerLifecycle(identity)),
    Layer.provideMerge(
      Layer.mergeAll(
        layerVault,
        layerKeyValueStore,
        layerCapabilityManager({
          ...defaultCapabilityOptions,
          cleanupIntervalMs: settings.tokenCleanupIntervalMs,
        }),
      ),
    ),
    Layer.provideMerge(layerTokenStore),
    Layer.provideMerge(Layer.mergeAll(ArtifactStore.layer, Readiness.layer, VerifierChecks.layer)),
    Layer.provideMerge(layerEventStore),
    Layer.provideMerge(Layer.succeed(KernelConfig, settings)),
  )
