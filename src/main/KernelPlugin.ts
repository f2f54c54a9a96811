/**
 * The kernel as a node of the plugin graph: between the drivers it stands on and the plugins that
 * stand on it.
 */
import { kernelNeeds, kernelProvides, layerKernel } from "../kernel/Kernel.ts"
import { KernelSettings } from "../kernel/KernelConfig.ts"
import { definePlugin, pluginApiVersion } from "../kernel/plugin/Plugin.ts"
import { version } from "./Version.ts"

/** The kernel. */
export const kernelPlugin = definePlugin({
  name: "kernel",
  version,
  apiVersion: pluginApiVersion,
  needs: kernelNeeds,
  provides: kernelProvides,
  config: KernelSettings,
  layer: (settings) =>
    layerKernel({ settings, identity: { kernelVersion: version, pid: process.pid } }),
})
