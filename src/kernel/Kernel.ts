/**
 * The kernel as one layer: its services on whatever storage, runtime and compiler the driver
 * plugins provide.
 */
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"

import { ArtifactStore } from "./ArtifactStore.ts"
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
import { Readiness } from "./Readiness.ts"
import { Registry } from "./Registry.ts"
import { Replayer } from "./Replayer.ts"
import { layerReplayer } from "./ReplayerLive.ts"
import { Runtime } from "./Runtime.ts"
import { ServiceLock } from "./ServiceLock.ts"
import { ServiceLogs } from "./ServiceLogs.ts"
import { Storage } from "./Storage.ts"
import { layerSupervisor } from "./Supervisor.ts"
import { Verifier, VerifierChecks } from "./Verifier.ts"
import { layerVerifier } from "./VerifierLive.ts"

/** Which kernel this is, and how it is set up. */
export interface KernelOptions {
  readonly settings: KernelSettings
  /** The version of Solo, and the process it runs in. */
  readonly identity: { readonly kernelVersion: string; readonly pid: number }
}

/** What the kernel stands on. */
export const kernelNeeds = [SqlClient, Storage, Digest, Compiler, Runtime] as const

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
] as const

/**
 * The kernel's services. Built from the bottom up and closed from the top down: services are
 * stopped before the log gets its last word, and that is on disk before storage closes.
 */
export const layerKernel = ({ settings, identity }: KernelOptions) =>
  Layer.mergeAll(layerDeployer, layerIngress, layerVerifier).pipe(
    Layer.provideMerge(layerReplayer),
    Layer.provideMerge(layerSupervisor),
    Layer.provideMerge(
      Layer.mergeAll(DesiredState.layer, ServiceLock.layer, ServiceLogs.layer, Registry.layer),
    ),
    Layer.provideMerge(layerCheckpoints),
    Layer.provideMerge(layerLifecycle(identity)),
    Layer.provideMerge(Layer.mergeAll(ArtifactStore.layer, Readiness.layer, VerifierChecks.layer)),
    Layer.provideMerge(layerEventStore),
    Layer.provideMerge(Layer.succeed(KernelConfig, settings)),
  )
