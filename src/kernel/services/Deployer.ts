/**
 * Deploys and kills services: checks a spec, starts it under supervision, makes it a fact, and
 * only then says so (promises 1 and 2).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import type { ServiceId, TenantId } from "../../domain/Identifier.ts"
import type { ServiceStatus, ServiceView } from "../../domain/Service.ts"
import type { ServiceSpec } from "../../domain/ServiceSpec.ts"
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
  | KernelStopping
  | AppendError

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
     * alone; a failed or stopped service is replaced.
     */
    readonly deploy: (caller: Caller, spec: ServiceSpec) => Effect.Effect<Deployed, DeployError>
    /** Records the kill, then stops the service; `force` does not wait for its `stop`. */
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
>()("solo/kernel/Deployer") {}
