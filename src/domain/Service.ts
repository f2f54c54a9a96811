/**
 * A service as the outside sees it: its status and figures. What it was asked to be is its spec.
 */
import * as Schema from "effect/Schema"

import { Count } from "./Bounds.ts"
import { ServiceId, TenantId } from "./Identifier.ts"

/**
 * Where a service is in its life. `failed`: it gave up or could not be recovered. `stopped`: it
 * ended on its own and its restart type leaves it so.
 */
export const ServiceStatus = Schema.Literals([
  "starting",
  "running",
  "restarting",
  "failed",
  "stopped",
])
/** @see {@link ServiceStatus} */
export type ServiceStatus = typeof ServiceStatus.Type

/** Whether supervision keeps the service going. */
export const isUp = (service: { readonly status: ServiceStatus } | undefined): boolean =>
  service?.status === "running" || service?.status === "restarting"

/** One service, as `GET /v1/services/{serviceId}` answers it. Times are ISO 8601 in UTC. */
export const ServiceView = Schema.Struct({
  tenantId: TenantId,
  serviceId: ServiceId,
  /** Counts the specs this service has had, from 1; a killed service goes on counting. */
  revision: Count,
  status: ServiceStatus,
  /** SHA-256 of the source, in hex. */
  artifact: Schema.String,
  deployedAt: Schema.String,
  /** When the running instance started, or `null` when none runs. */
  startedAt: Schema.NullOr(Schema.String),
  /** Restarts by the supervisor since this kernel process took the service over. */
  restarts: Count,
  lastError: Schema.NullOr(Schema.String),
  /** Resident or heap memory as the runtime can tell, in bytes; 0 when none runs. */
  memoryBytes: Count,
  /** Processor time of the running instance, in milliseconds. */
  cpuMs: Count,
  /** Requests it is answering now. */
  inFlight: Count,
})
/** @see {@link ServiceView} */
export type ServiceView = typeof ServiceView.Type
