/**
 * The plugin `boxes`, the default runtime driver: runs every service in a realm in a process of
 * its own, behind the strongest walls that the machine offers.
 */
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Runtime, definePlugin, pluginApiVersion } from "solo"

import { makeBoxes } from "./Boxes.ts"
import { BoxSettings } from "./BoxSettings.ts"

/** The driver with these settings; whatever is left out has its default. */
export const layer = (settings: typeof BoxSettings.Encoded = {}) =>
  Layer.effect(Runtime, makeBoxes(Schema.decodeSync(BoxSettings)(settings)))

/** The plugin `boxes`. */
export default definePlugin({
  name: "boxes",
  version: "0.1.0",
  apiVersion: pluginApiVersion,
  needs: [],
  provides: [Runtime],
  config: BoxSettings,
  layer: (settings) => Layer.effect(Runtime, makeBoxes(settings)),
})
