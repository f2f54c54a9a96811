/**
 * The plugin `logfiles`: keeps the logs of services as files in the data directory, beside the
 * database and never in it (docs/decisions/0019).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { bounded, definePlugin, LogStore, LogStoreFailed, pluginApiVersion } from "solo"

import { LogFiles } from "./LogFiles.ts"
import { type Bounds, sweep } from "./Sweep.ts"

const mebibyte = 1024 * 1024
const dayMs = 86_400_000

/** How often the whole directory is looked at, in milliseconds. */
const sweepEveryMs = 600_000

/** How often it is asked whether so much was written that it must be looked at now. */
const askEveryMs = 5000

/** The part of all bytes there may be that may come before they are counted again. */
const unsweptShare = 1 / 8

const Config = Schema.Struct({
  /** Where the files are. */
  directory: Schema.String.check(Schema.isMinLength(1)),
  /** What one service keeps, and all of them together, in MiB. */
  serviceMb: bounded(1, 1024, 4),
  totalMb: bounded(1, 1_048_576, 1024),
  /** How long a segment is kept after its last line, in days. */
  maxAgeDays: bounded(1, 3650, 14),
})

const attempt = <A>(evaluate: () => Promise<A>): Effect.Effect<A, LogStoreFailed> =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) => new LogStoreFailed({ message: (cause as Error).message }),
  })

/** Sweeps now and then, and when much was written. */
const keepSwept = Effect.fnUntraced(function* (files: LogFiles, bounds: Bounds) {
  let sweptAt: number | undefined
  while (true) {
    const now = yield* Clock.currentTimeMillis
    const isDue = sweptAt === undefined || Math.abs(now - sweptAt) >= sweepEveryMs
    if (isDue || files.written > bounds.totalBytes * unsweptShare) {
      sweptAt = now
      yield* attempt(() => sweep(files, now, bounds)).pipe(
        Effect.catch(({ message }) => Effect.logWarning(`logs could not be tidied up: ${message}`)),
      )
    }
    yield* Effect.sleep(askEveryMs)
  }
})

/** The logs of services in files. */
export const layerLogFiles = (config: typeof Config.Type) =>
  Layer.effect(
    LogStore,
    Effect.gen(function* () {
      const files = new LogFiles(config.directory, config.serviceMb * mebibyte)
      const bounds = {
        totalBytes: config.totalMb * mebibyte,
        maxAgeMs: config.maxAgeDays * dayMs,
      }
      yield* Effect.forkScoped(keepSwept(files, bounds))
      return LogStore.of({
        append: (name, lines) => attempt(() => files.append(name, lines)),
        read: (name, filter) => attempt(() => files.read(name, filter)),
        lastId: (name) => attempt(() => files.lastId(name)),
      })
    }),
  )

/** The plugin `logfiles`. */
export default definePlugin({
  name: "logfiles",
  version: "0.1.0",
  apiVersion: pluginApiVersion,
  needs: [],
  provides: [LogStore],
  config: Config,
  layer: layerLogFiles,
})
