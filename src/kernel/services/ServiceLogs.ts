/**
 * What services print: to be written, read and followed, whether or not they still run.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

import type { ServiceName } from "../../domain/Identifier.ts"
import type { ServiceNotFound } from "./Deployer.ts"
import type { KeptLine, LogFilter } from "./LogStore.ts"
import type { ServiceLogLine } from "./Runtime.ts"

/** The logs of services. */
export class ServiceLogs extends Context.Service<
  ServiceLogs,
  {
    /**
     * The lines kept, oldest first: also those of earlier lives of the service, of earlier kernels
     * on the same data directory, and of a service that was killed.
     */
    readonly read: (
      name: ServiceName,
      filter?: LogFilter,
    ) => Effect.Effect<ReadonlyArray<KeptLine>, ServiceNotFound>
    /**
     * The lines kept, then new ones as they come, until the service is killed; without gap or
     * duplicate as long as the reader is not behind by more than what is kept.
     */
    readonly follow: (
      name: ServiceName,
      filter?: LogFilter,
    ) => Stream.Stream<KeptLine, ServiceNotFound>
    /**
     * Opens the log of a service, unless it is open. The result adds a line to it for as long as it
     * is open, and never waits: the line is kept a moment later.
     */
    readonly open: (name: ServiceName) => Effect.Effect<(line: ServiceLogLine) => void>
    /** Closes the log of a killed service and ends its followers. Its lines stay. */
    readonly close: (name: ServiceName) => Effect.Effect<void>
  }
>()("solo/kernel/services/ServiceLogs") {}
