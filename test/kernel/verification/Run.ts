/**
 * One run of a kernel on a database file, over a runtime whose services do nothing but run. It
 * stands in for the isolating drivers, which have suites of their own.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"

import { layerSqlite } from "../../../plugins/sqlite/index.ts"
import { ServiceId, TenantId } from "../../../src/domain/Identifier.ts"
import { ServiceSpec } from "../../../src/domain/ServiceSpec.ts"
import { layerKernel } from "../../../src/kernel/Kernel.ts"
import { KernelSettings } from "../../../src/kernel/KernelConfig.ts"
import { CompileFailed, Compiler } from "../../../src/kernel/services/Compiler.ts"
import { LogStore } from "../../../src/kernel/services/LogStore.ts"
import { type InstanceExit, Runtime, StartFailed } from "../../../src/kernel/services/Runtime.ts"
import { startup } from "../../../src/kernel/Startup.ts"
import { makeDisk } from "../harness/Disk.ts"
import { layerNoNetwork } from "../NoNetwork.ts"
import { layerSecrets } from "../Secrets.ts"
import { layerDigest } from "../Sha256.ts"

/** A database file in a directory of its own. */
export const newDatabase = (): string => makeDisk().database

/** Compiles everything but sources that contain `syntax error`. */
const layerCompiler = Layer.succeed(Compiler, {
  compile: (source) =>
    source.includes("syntax error")
      ? Effect.fail(new CompileFailed({ message: "syntax error", line: 1, column: 1 }))
      : Effect.succeed(source),
})

/** Starts everything but sources that contain `start fails`. */
const layerRuntime = Layer.succeed(Runtime, {
  driver: "still",
  isolation: "none",
  walls: [],
  start: ({ code }) =>
    Effect.gen(function* () {
      if (code.includes("start fails")) return yield* new StartFailed({ message: "start fails" })
      const ended = yield* Deferred.make<InstanceExit>()
      const end = Effect.asVoid(Deferred.succeed(ended, { _tag: "Stopped" }))
      yield* Effect.addFinalizer(() => end)
      return {
        request: () => Effect.die("nobody asks"),
        stop: end,
        kill: end,
        scheduled: () => Effect.void,
        stats: Effect.succeed({ memoryBytes: 0, cpuMs: 0, inFlight: 0 }),
        exit: Deferred.await(ended),
      }
    }),
})

type LayerStorage = ReturnType<typeof layerSqlite>

/** The kernel on `filename`; nothing is started yet. */
const layerRun = (
  filename: string,
  settings: Partial<KernelSettings> = {},
  storage = layerSqlite({ filename, busyTimeoutMs: 100 }),
) =>
  layerKernel({
    settings: { ...Schema.decodeSync(KernelSettings)({}), ...settings },
    identity: { kernelVersion: "0.0.0", pid: 1 },
  }).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        storage,
        layerDigest,
        layerSecrets,
        layerNoNetwork,
        layerCompiler,
        layerRuntime,
        LogStore.layerMemory,
      ),
    ),
  )

/** Runs `effect` in a kernel that has started, and shuts it down cleanly after it. */
export const run =
  (filename: string, settings: Partial<KernelSettings> = {}, storage?: LayerStorage) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.scoped(
      Effect.andThen(
        startup(() => "the test ends"),
        effect,
      ),
    ).pipe(
      Effect.provide(
        layerRun(filename, settings, storage).pipe(Layer.provideMerge(Logger.layer([]))),
      ),
    )

export const tenant = (name: string) => TenantId.make(name)
export const service = (name: string) => ServiceId.make(name)

/** Somebody of a tenant. */
export const caller = (name: string) => ({ tenantId: tenant(name), actor: null })

/** A spec with everything left at its default. */
export const spec = (serviceId: string, source = `export default "${serviceId}"`) =>
  Schema.decodeSync(ServiceSpec)({ serviceId, source })
