/**
 * `npm run bench`: all benchmarks, or those whose names are given.
 */
import { benchBombs } from "./Bombs.ts"
import { benchBoxes } from "./Boxes.ts"
import { benchCapabilities } from "./Capabilities.ts"
import { benchEventStore } from "./EventStore.ts"
import { benchFairness } from "./Fairness.ts"
import { benchIngress } from "./Ingress.ts"
import { benchKernel } from "./Kernel.ts"
import { type Measurement, report } from "./Measurement.ts"
import { benchRecovery } from "./Recovery.ts"
import { benchStores } from "./Stores.ts"
import { benchVerification } from "./Verification.ts"

const benches: Readonly<Record<string, () => Promise<ReadonlyArray<Measurement>>>> = {
  "event-store": benchEventStore,
  store: benchStores,
  kernel: benchKernel,
  capabilities: benchCapabilities,
  verification: benchVerification,
  recovery: benchRecovery,
  boxes: benchBoxes,
  fairness: benchFairness,
  bombs: benchBombs,
  ingress: benchIngress,
}

const chosen = process.argv.slice(2)
for (const [name, bench] of Object.entries(benches)) {
  if (chosen.length === 0 || chosen.includes(name)) report(name, await bench())
}
