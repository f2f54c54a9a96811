/**
 * The plugin `threads`: runs every service in a realm in a worker thread of the kernel's process.
 * It is for development: one service that exhausts memory outside its heap takes the kernel along.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Runtime, definePlugin, pluginApiVersion } from "solo"

import { bundle, loadBootstrap } from "../realm/Assets.ts"
import { startInThread } from "./ServiceThread.ts"

/** The thread driver. */
export const layer = Layer.effect(
  Runtime,
  Effect.gen(function* () {
    yield* Effect.logWarning(
      "the runtime driver threads is for development: a hostile service can exhaust or crash the kernel",
    )
    const loaded = yield* Effect.promise(loadBootstrap)
    const bundles = { runner: bundle("threads/ThreadRunner.cjs"), ...loaded }
    return Runtime.of({
      driver: "threads",
      isolation:
        "a realm in a thread of the kernel's own process: for development only, since a hostile service can exhaust or crash the kernel",
      walls: [
        { name: "realm", stands: true, detail: "a global object with nothing ambient in it" },
      ],
      start: (program) => startInThread(bundles, program),
    })
  }),
)

/** The plugin `threads`. */
export default definePlugin({
  name: "threads",
  version: "0.1.0",
  apiVersion: pluginApiVersion,
  needs: [],
  provides: [Runtime],
  config: Schema.Struct({}),
  layer: () => layer,
})
