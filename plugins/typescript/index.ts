/**
 * The plugin `typescript`: provides the `Compiler` on Node's type stripper and acorn.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Compiler, definePlugin, pluginApiVersion } from "solo"

import { make } from "./CompileThread.ts"

/** The compiler, in a thread of its own. */
export const layer = Layer.effect(
  Compiler,
  Effect.map(make, (compile) => Compiler.of({ compile })),
)

/** The plugin `typescript`. */
export default definePlugin({
  name: "typescript",
  version: "0.1.0",
  apiVersion: pluginApiVersion,
  needs: [],
  provides: [Compiler],
  config: Schema.Struct({}),
  layer: () => layer,
})
