/**
 * What services print, kept per service in a bounded ring in memory and followed live. It survives
 * restarts of a service, not of the kernel.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"

import { serviceKey, type ServiceName } from "../../domain/Identifier.ts"
import { ServiceNotFound } from "./Deployer.ts"
import type { ServiceLogLevel, ServiceLogLine } from "./Runtime.ts"

/** Lines kept per service. */
const maxLines = 1000

/** Live lines a slow follower may be behind before it misses the oldest. */
const maxBehind = 256

/** Which lines to read. */
export interface LogFilter {
  /** Only lines at or after this time (ISO 8601). */
  readonly since?: string | undefined
  /** Only lines of this level or worse: debug < info < warn < error. */
  readonly level?: ServiceLogLevel | undefined
}

const severity: Record<ServiceLogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }

const matches = (filter: LogFilter) => (line: ServiceLogLine) =>
  (filter.since === undefined || line.time >= filter.since) &&
  (filter.level === undefined || severity[line.level] >= severity[filter.level])

interface Ring {
  lines: Array<ServiceLogLine>
  readonly live: PubSub.PubSub<ServiceLogLine>
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
    /** Opens the log of a service, unless it is open. */
    readonly open: (name: ServiceName) => Effect.Effect<void>
    /** Adds a line to an open log. */
    readonly write: (name: ServiceName, line: ServiceLogLine) => Effect.Effect<void>
    /** Drops the log of a killed service and ends its followers. */
    readonly close: (name: ServiceName) => Effect.Effect<void>
  }
>()("solo/kernel/ServiceLogs") {
  static readonly layer = Layer.sync(ServiceLogs, () => {
    const rings = new Map<string, Ring>()

    const ringOf = (name: ServiceName) =>
      Effect.suspend(() => {
        const ring = rings.get(serviceKey(name))
        return ring === undefined
          ? Effect.fail(new ServiceNotFound({ serviceId: name.serviceId }))
          : Effect.succeed(ring)
      })

    return ServiceLogs.of({
      open: Effect.fnUntraced(function* (name) {
        if (rings.has(serviceKey(name))) return
        rings.set(serviceKey(name), {
          lines: [],
          live: yield* PubSub.sliding<ServiceLogLine>(maxBehind),
        })
      }),
      write: (name, line) =>
        Effect.suspend(() => {
          const ring = rings.get(serviceKey(name))
          if (ring === undefined) return Effect.void
          ring.lines.push(line)
          // Trimmed in strides, so that a line costs no copy of the ring.
          if (ring.lines.length >= 2 * maxLines) ring.lines = ring.lines.slice(-maxLines)
          return PubSub.publish(ring.live, line)
        }),
      close: (name) =>
        Effect.suspend(() => {
          const ring = rings.get(serviceKey(name))
          rings.delete(serviceKey(name))
          return ring === undefined ? Effect.void : PubSub.shutdown(ring.live)
        }),
      read: Effect.fn("ServiceLogs.read")(function* (name, filter = {}) {
        const ring = yield* ringOf(name)
        return ring.lines.slice(-maxLines).filter(matches(filter))
      }),
      follow: (name, filter = {}) =>
        Stream.unwrap(
          Effect.gen(function* () {
            const ring = yield* ringOf(name)
            const live = yield* PubSub.subscribe(ring.live)
            return Stream.fromIterable(ring.lines.slice(-maxLines)).pipe(
              Stream.concat(Stream.fromSubscription(live)),
              Stream.filter(matches(filter)),
            )
          }),
        ),
    })
  })
}
