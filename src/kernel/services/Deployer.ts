/**
 * Deploys, swaps and kills services: checks a spec, starts it under supervision, makes it a fact, and
 * only then says so (promises 1 and 2).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import type { ServiceId, TenantId } from "../../domain/Identifier.ts"
import type { ServiceStatus, ServiceView } from "../../domain/Service.ts"
import type { ServiceSpec } from "../../domain/ServiceSpec.ts"
import type { ArtifactDamaged } from "../log/ArtifactStore.ts"
import type { AppendError } from "../log/EventStore.ts"
import type { CompileFailed } from "./Compiler.ts"
import type { StartFailed } from "./Runtime.ts"

/** Another spec runs under this id. */
export class ServiceConflict extends Schema.TaggedError<ServiceConflict>()("ServiceConflict", {
  serviceId: Schema.String,
  revision: Schema.Int,
}) {
  override get message(): string {
    return `revision ${this.revision} of ${this.serviceId} runs with another spec; kill it first, or swap it with PUT`
  }
}

/** The tenant has no such service. */
export class ServiceNotFound extends Schema.TaggedError<ServiceNotFound>()("ServiceNotFound", {
  serviceId: Schema.String,
}) {
  override get message(): string {
    return `there is no service ${this.serviceId}`
  }
}

/** The source text is larger than a service may be. */
export class SourceTooLarge extends Schema.TaggedError<SourceTooLarge>()("SourceTooLarge", {
  bytes: Schema.Int,
  maximum: Schema.Int,
}) {
  override get message(): string {
    return `the source has ${this.bytes} bytes, a service may have at most ${this.maximum}`
  }
}

/** The tenant, or the kernel, runs as many services as it may. */
export class TooManyServices extends Schema.TaggedError<TooManyServices>()("TooManyServices", {
  scope: Schema.Literals(["tenant", "kernel"]),
  maximum: Schema.Int,
}) {
  override get message(): string {
    return `the ${this.scope} may run at most ${this.maximum} services; kill one first`
  }
}

/** `start` did not return in time. */
export class StartTimedOut extends Schema.TaggedError<StartTimedOut>()("StartTimedOut", {
  timeoutMs: Schema.Int,
}) {
  override get message(): string {
    return `the service did not start within ${this.timeoutMs} ms (limits.startupTimeoutMs)`
  }
}

/** A kill, a rollback or a newer deployment came before the service had started. */
export class DeploymentEnded extends Schema.TaggedError<DeploymentEnded>()("DeploymentEnded", {
  reason: Schema.String,
}) {
  override get message(): string {
    return `the deployment was ended before the service had started: ${this.reason}`
  }
}

/** A hot swap of this service is under way. */
export class SwapInProgress extends Schema.TaggedError<SwapInProgress>()("SwapInProgress", {
  serviceId: Schema.String,
}) {
  override get message(): string {
    return `a hot swap of ${this.serviceId} is under way; wait for it, or end it with rollback`
  }
}

/** The tenant has as many hot swaps under way as it may: each keeps two revisions in memory. */
export class TooManySwaps extends Schema.TaggedError<TooManySwaps>()("TooManySwaps", {
  maximum: Schema.Int,
}) {
  override get message(): string {
    return `the tenant may have at most ${this.maximum} hot swaps under way; wait for one`
  }
}

/** The new revision never took over: nothing has changed. */
export class SwapFailed extends Schema.TaggedError<SwapFailed>()("SwapFailed", {
  reason: Schema.String,
}) {
  override get message(): string {
    return `the new revision did not take over: ${this.reason}`
  }
}

/** The new revision had taken over and was taken back. */
export class SwapRolledBack extends Schema.TaggedError<SwapRolledBack>()("SwapRolledBack", {
  from: Schema.Int,
  to: Schema.Int,
  reason: Schema.String,
}) {
  override get message(): string {
    return `revision ${this.to} took over and was rolled back to revision ${this.from}: ${this.reason}`
  }
}

/** The service has had one revision only since it was deployed. */
export class NoPreviousRevision extends Schema.TaggedError<NoPreviousRevision>()(
  "NoPreviousRevision",
  { serviceId: Schema.String, revision: Schema.Int },
) {
  override get message(): string {
    return `${this.serviceId} has been nothing but revision ${this.revision} since it was deployed; swap it with PUT`
  }
}

/** The kernel is stopping and takes no more changes. */
export class KernelStopping extends Schema.TaggedError<KernelStopping>()("KernelStopping", {}) {
  override get message(): string {
    return "the kernel is stopping; try again when it is back"
  }
}

/** Why a deployment was refused. Nothing runs that did not run before. */
export type DeployError =
  | ServiceConflict
  | SourceTooLarge
  | TooManyServices
  | CompileFailed
  | StartFailed
  | StartTimedOut
  | DeploymentEnded
  | SwapInProgress
  | KernelStopping
  | AppendError

/** Why a swap came to nothing. The service is what it was before. */
export type SwapError = DeployError | ServiceNotFound | TooManySwaps | SwapFailed | SwapRolledBack

/** Why a rollback came to nothing. The service is what it was before. */
export type RollbackError = SwapError | NoPreviousRevision | ArtifactDamaged

/** Why a kill was refused. The service goes on as before. */
export type KillError = ServiceNotFound | KernelStopping | AppendError

/** Who asks: the tenant, and the id of the token it came with. */
export interface Caller {
  readonly tenantId: TenantId
  readonly actor: string | null
}

/** What a deployment came to. */
export interface Deployed {
  readonly service: ServiceView
  /** Whether anything changed: `false` when the identical spec ran already. */
  readonly created: boolean
}

/** Longest time that a new revision is watched before it is committed, in milliseconds. */
export const maxRollbackWindowMs = 60_000

/** The same, when it is not said. */
export const defaultRollbackWindowMs = 1000

/** How to swap. */
export interface SwapOptions {
  /** How long the new revision is watched, from 0 to `maxRollbackWindowMs`. */
  readonly rollbackWindowMs?: number | undefined
}

/** Which services to list, and from where. */
export interface ListOptions {
  readonly status?: ServiceStatus | undefined
  /** Only services whose id sorts after this one. */
  readonly after?: ServiceId | undefined
  readonly limit: number
}

/** Deploys, kills and shows services. */
export class Deployer extends Context.Service<
  Deployer,
  {
    /**
     * Starts `spec` and records it. Serialised per service. A running identical spec is left
     * alone, one that is starting is waited for; a failed or stopped service is replaced, and so is
     * one that is only starting, whose start is ended.
     */
    readonly deploy: (caller: Caller, spec: ServiceSpec) => Effect.Effect<Deployed, DeployError>
    /**
     * Starts `spec` beside the running revision, hands over to it without a gap, and records it
     * once it has lived through the rollback window; else the old revision goes on. A running
     * identical spec is left alone; the start of another one is ended. It is carried to its end even if the caller is interrupted.
     */
    readonly swap: (
      caller: Caller,
      spec: ServiceSpec,
      options?: SwapOptions,
    ) => Effect.Effect<ServiceView, SwapError>
    /**
     * Ends the swap or the deployment that is under way, if one is; else swaps back to the revision before this one,
     * under its old number.
     */
    readonly rollback: (
      caller: Caller,
      serviceId: ServiceId,
      options?: SwapOptions,
    ) => Effect.Effect<ServiceView, RollbackError>
    /**
     * Ends the swap and the start that are under way, records the kill, then stops the service;
     * `force` does not wait for its `stop`. A service that was never recorded is not found.
     */
    readonly kill: (
      caller: Caller,
      serviceId: ServiceId,
      options?: { readonly force?: boolean | undefined },
    ) => Effect.Effect<ServiceView, KillError>
    readonly status: (
      tenantId: TenantId,
      serviceId: ServiceId,
    ) => Effect.Effect<ServiceView, ServiceNotFound>
    /** A tenant's services in order of their ids. */
    readonly list: (
      tenantId: TenantId,
      options: ListOptions,
    ) => Effect.Effect<ReadonlyArray<ServiceView>>
  }
>()("solo/kernel/services/Deployer") {}
