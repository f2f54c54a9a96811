/**
 * The kernel as one layer: its services on whatever storage, runtime and compiler the driver
 * plugins provide.
 */
import { Aead } from "effect/crypto/Aead"
import { SecureRandom } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"

import { ArtifactStore } from "./ArtifactStore.ts"
import { CapabilityManager } from "./CapabilityManager.ts"
import { defaultCapabilityOptions, layerCapabilityManager } from "./CapabilityManagerIndexed.ts"
import { Checkpoints } from "./Checkpoints.ts"
import { layerCheckpoints } from "./CheckpointsSql.ts"
import { Compiler } from "./Compiler.ts"
import { Deployer } from "./Deployer.ts"
import { layerDeployer } from "./DeployerLive.ts"
import { DesiredState } from "./DesiredState.ts"
import { Digest } from "./Digest.ts"
import { EventStore } from "./EventStore.ts"
import { layerEventStore } from "./EventStoreSql.ts"
import { Ingress } from "./Ingress.ts"
import { layerIngress } from "./IngressLive.ts"
import { KernelConfig, type KernelSettings } from "./KernelConfig.ts"
import { layerLifecycle, Lifecycle } from "./Lifecycle.ts"
import { MasterKeys } from "./MasterKeys.ts"
import { Readiness } from "./Readiness.ts"
import { Registry } from "./Registry.ts"
import { Replayer } from "./Replayer.ts"
import { layerReplayer } from "./ReplayerLive.ts"
import { RootToken } from "./RootToken.ts"
import { Runtime } from "./Runtime.ts"
import { ServiceLock } from "./ServiceLock.ts"
import { ServiceLogs } from "./ServiceLogs.ts"
import { Storage } from "./Storage.ts"
import { layerSupervisor } from "./Supervisor.ts"
import { layerTokensAudit } from "./TokensAudit.ts"
import { TokenStore } from "./TokenStore.ts"
import { layerTokenStore } from "./TokenStoreSql.ts"
import { Vault } from "./Vault.ts"
import { layerVaultAudit } from "./VaultAudit.ts"
import { layerVault } from "./VaultSql.ts"
import { Verifier, VerifierChecks } from "./Verifier.ts"
import { layerVerifier } from "./VerifierLive.ts"

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
] as const

/** What must be on disk before a run's last word. */
const layerFlushes = Layer.effectDiscard(
  Effect.gen(function* () {
    const lifecycle = yield* Lifecycle
    const capabilities = yield* CapabilityManager
    const vault = yield* Vault
    lifecycle.onFlush("the token store", capabilities.flush)
    lifecycle.onFlush("the vault", vault.flush)
  }),
)

/**
 * The kernel's services. Built from the bottom up and closed from the top down: services are
 * stopped before the log gets its last word, and that is on disk before storage closes. Tokens and
 * vault open before the run has its first word: a wrong master key refuses the start and writes
 * nothing.
 */
export const layerKernel = ({ settings, identity }: KernelOptions) =>
  Layer.mergeAll(layerDeployer, layerIngress, layerVerifier).pipe(
    Layer.provideMerge(layerReplayer),
    Layer.provideMerge(layerSupervisor),
    Layer.provideMerge(
      Layer.mergeAll(DesiredState.layer, ServiceLock.layer, ServiceLogs.layer, Registry.layer),
    ),
    Layer.provideMerge(layerCheckpoints),
    Layer.provideMerge(Layer.mergeAll(layerFlushes, layerTokensAudit, layerVaultAudit)),
    Layer.provideMerge(layerLifecycle(identity)),
    Layer.provideMerge(
      Layer.mergeAll(
        layerVault,
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
