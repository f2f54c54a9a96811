/**
 * The port to where the lines of services' logs are kept beyond the kernel's memory, and the shape
 * of what is kept. It owns no policy but order: what is bounded, and where it lies, is the driver's
 * business; when lines are brought there is that of `ServiceLogs`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

import { serviceKey, type ServiceName } from "../../domain/Identifier.ts"
import type { ServiceLogLevel, ServiceLogLine } from "./Runtime.ts"

/** Lines that one read answers at most, where it does not say how many. */
export const maxLinesRead = 10_000

/** Lines of one service that the store in memory keeps. */
const maxLinesInMemory = 1000

/** A line in its place: ids of one service only grow, and are at least the time in microseconds. */
export interface KeptLine extends ServiceLogLine {
  readonly id: number
}

/** Which lines to read. */
export interface LogFilter {
  /** Only lines at or after this time, in milliseconds since 1970. */
  readonly since?: number | undefined
  /** Only lines of this level or worse: debug < info < warn < error. */
  readonly level?: ServiceLogLevel | undefined
  /** Only lines after the one with this id. */
  readonly after?: number | undefined
  /** At most so many, the oldest. */
  readonly limit?: number | undefined
}

const severity: Record<ServiceLogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }

/** Whether `filter` lets `line` pass, its limit aside. */
export const passes = ({ after, level, since }: LogFilter, line: KeptLine): boolean =>
  (after === undefined || line.id > after) &&
  (since === undefined || Date.parse(line.time) >= since) &&
  (level === undefined || severity[line.level] >= severity[level])

/** Lines could not be kept, or not be read. */
export class LogStoreFailed extends Schema.TaggedError<LogStoreFailed>()("LogStoreFailed", {
  message: Schema.String,
}) {}

/** Keeps the lines of services' logs. One caller at a time asks it about one service. */
export class LogStore extends Context.Service<
  LogStore,
  {
    /**
     * Adds lines behind those it has, and drops the oldest where they are too many. They survive
     * the end of the process, not that of the machine. Lines that were added before may be added
     * again after a failure.
     */
    readonly append: (
      name: ServiceName,
      lines: ReadonlyArray<KeptLine>,
    ) => Effect.Effect<void, LogStoreFailed>
    /** The lines it has, oldest first, each once. What it cannot read of them is left out. */
    readonly read: (
      name: ServiceName,
      filter: LogFilter,
    ) => Effect.Effect<ReadonlyArray<KeptLine>, LogStoreFailed>
    /** Id of the newest line, or 0 when it has none. */
    readonly lastId: (name: ServiceName) => Effect.Effect<number, LogStoreFailed>
  }
>()("solo/kernel/services/LogStore") {
  /** Keeps lines for as long as the layer lives: for kernels that leave nothing behind. */
  static readonly layerMemory = Layer.sync(LogStore, () => {
    const logs = new Map<string, ReadonlyArray<KeptLine>>()
    const linesOf = (name: ServiceName) => logs.get(serviceKey(name)) ?? []
    return LogStore.of({
      append: (name, lines) =>
        Effect.sync(() => {
          logs.set(serviceKey(name), [...linesOf(name), ...lines].slice(-maxLinesInMemory))
        }),
      read: (name, filter) =>
        Effect.sync(() =>
          linesOf(name)
            .filter((line) => passes(filter, line))
            .slice(0, filter.limit ?? maxLinesRead),
        ),
      lastId: (name) => Effect.sync(() => linesOf(name).at(-1)?.id ?? 0),
    })
  })
}
