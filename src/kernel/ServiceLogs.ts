/**
 * What services print, kept per service in a bounded ring in memory and followed live. It survives
 * restarts of a service, not of the kernel.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

import type { ServiceName } from "../domain/Identifier.ts"
import type { ServiceNotFound } from "./Deployer.ts"
import type { ServiceLogLevel, ServiceLogLine } from "./Runtime.ts"

/** Which lines to read. */
export interface LogFilter {
  /** Only lines at or after this time (ISO 8601). */
  readonly since?: string | undefined
  /** Only lines of this level or worse: debug < info < warn < error. */
  readonly level?: ServiceLogLevel | undefined
}

/** The logs of services. */
export class ServiceLogs extends Context.Service<
  ServiceLogs,
  {
    /** The lines kept, oldest first. */
    readonly read: (
      name: ServiceName,
      filter?: LogFilter,
    ) => Effect.Effect<ReadonlyArray<ServiceLogLine>, ServiceNotFound>
    /** The lines kept, then new ones as they come, until the service is killed. */
    readonly follow: (
      name: ServiceName,
      filter?: LogFilter,
    ) => Stream.Stream<ServiceLogLine, ServiceNotFound>
  }
>()("solo/kernel/ServiceLogs") {}
