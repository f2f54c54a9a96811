/**
 * What `node dist/main.js` runs. On a Node that is too old it hands over to the one in
 * `node_modules`, so nothing here or in what it imports statically may need a newer one than 20.
 */
import * as nodeModule from "node:module"
import { fileURLToPath } from "node:url"

import { handOver, isSupported } from "./main/Handover.ts"
import { listenEarly } from "./main/Signals.ts"

const script = fileURLToPath(import.meta.url)

/** Without its packages nothing of Solo loads, not even what reports failures. */
const explain = (error: unknown): never => {
  const isMissing = (error as NodeJS.ErrnoException | null)?.code === "ERR_MODULE_NOT_FOUND"
  if (!isMissing) throw error
  const [reason] = (error as Error).message.split(" imported from")
  process.stderr.write(`solo: ${reason}: run "npm install" where package.json is\n`)
  process.exit(1)
}

const run = async (): Promise<void> => {
  // Beside the code and with its trust: a shared directory could be prepared by another user.
  if (script.endsWith(".js")) {
    nodeModule.enableCompileCache(fileURLToPath(new URL(".compile-cache", import.meta.url)))
  }
  // From the sources, the package `solo` would otherwise mean an earlier build.
  if (script.endsWith(".ts")) (await import("./main/SharedModules.ts")).shareModules()
  if (process.argv.length > 2) {
    ;(await import("./main/Commands.ts")).runCommand()
  } else {
    // Loading the rest takes a while, in which a signal would end the process as if it had failed.
    listenEarly()
    const [{ launch }, { firstParty, runtimes }] = await Promise.all([
      import("./main/Launch.ts"),
      import("./main/FirstPartyPlugins.ts"),
    ])
    launch({ plugins: firstParty, runtimes })
  }
}

if (isSupported(process.versions.node)) await run().catch(explain)
else handOver(script)
