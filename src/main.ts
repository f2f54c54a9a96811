/**
 * What `node dist/main.js` runs. On a Node that is too old it hands over to the one in
 * `node_modules`, so nothing here or in what it imports statically may need a newer one than 20.
 */
import * as nodeModule from "node:module"
import { fileURLToPath } from "node:url"

import { handOver, isSupported } from "./main/Handover.ts"

const script = fileURLToPath(import.meta.url)

if (isSupported(process.versions.node)) {
  // Beside the code and with its trust: a shared directory could be prepared by another user.
  if (script.endsWith(".js")) {
    nodeModule.enableCompileCache(fileURLToPath(new URL(".compile-cache", import.meta.url)))
  }
  // From the sources, the package `solo` would otherwise mean an earlier build.
  if (script.endsWith(".ts")) (await import("./main/SharedModules.ts")).shareModules()
  const [{ launch }, { firstParty, runtimes }] = await Promise.all([
    import("./main/Launch.ts"),
    import("./main/FirstPartyPlugins.ts"),
  ])
  launch({ plugins: firstParty, runtimes })
} else {
  handOver(script)
}
