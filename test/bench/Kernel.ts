/**
 * The whole kernel as its users meet it: how long until it is ready, until a deployed service
 * answers, until a hundred services are back. Each beside what Node alone takes on this machine.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"

import { draft } from "../../src/domain/Event.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { call, type KernelProcess, ready, startKernel } from "../process/KernelProcess.ts"
import { fillLog } from "./LogFile.ts"
import { type Measurement, median, timed } from "./Measurement.ts"

const repeats = 5

const source = (n: number) =>
  `export default { fetch: (request: Request) => new Response("service ${n}") }`

const bareNode = async () => {
  const sample: Array<number> = []
  for (let n = 0; n < repeats; n++) {
    sample.push(await timed(async () => spawnSync(process.execPath, ["-e", "0"])))
  }
  return median(sample)
}

const bareWorkers = (count: number) =>
  timed(async () => {
    for (let n = 0; n < count; n++) {
      const worker = new Worker("require('node:worker_threads').parentPort.postMessage(0)", {
        eval: true,
      })
      await new Promise((resolve) => worker.once("message", resolve))
      await worker.terminate()
    }
  })

const startToReady = async (dataDir: string) => {
  let running: KernelProcess | undefined
  const took = await timed(async () => {
    running = await startKernel({ dataDir })
    await ready(running)
  })
  return { took, running: running! }
}

/** Well-formed, and nothing that recovery need look at. */
const filler = (n: number) =>
  draft(
    "service_restarted",
    { revision: 1, restarts: n },
    { tenantId: TenantId.make("bench"), serviceId: ServiceId.make("filler") },
  )

const deployToAnswer = async (running: KernelProcess) => {
  const sample: Array<number> = []
  for (let n = 0; n < 20; n++) {
    sample.push(
      await timed(async () => {
        const serviceId = `fresh-${n}`
        const body = { serviceId, source: source(n) }
        const created = await call(running, "POST", "/v1/services", { tenant: "bench", body })
        if (created.status !== 201) throw new Error(created.text)
        await call(running, "GET", `/services/bench/${serviceId}/`)
      }),
    )
  }
  return median(sample)
}

const recoveryOf100 = async (dataDir: string, running: KernelProcess) => {
  for (let n = 0; n < 100; n++) {
    const body = { serviceId: `kept-${n}`, source: source(n) }
    await call(running, "POST", "/v1/services", { tenant: "hundred", body })
  }
  await running.end("SIGKILL")
  const again = await startToReady(dataDir)
  const { json } = await call(again.running, "GET", "/v1/recovery")
  await again.running.end("SIGTERM")
  if (json.failed > 0) throw new Error(`${json.failed} services did not come back`)
  return (json.durationMs / json.recovered) * 100
}

/** Runs the benchmark. */
export const benchKernel = async (): Promise<ReadonlyArray<Measurement>> => {
  const root = mkdtempSync(join(tmpdir(), "solo-bench-"))
  const dataDir = join(root, "data")
  const node = { baseline: await bareNode(), baselineName: "bare `node -e 0`", unit: "ms" }
  const empty = await startToReady(dataDir)
  const answer = await deployToAnswer(empty.running)
  const recovery = await recoveryOf100(dataDir, empty.running)
  const other = join(root, "other")
  await (await startToReady(other)).running.end("SIGTERM")
  fillLog(join(other, "solo.db"), 100_000, filler)
  const full = await startToReady(other)
  await full.running.end("SIGTERM")
  const workers = await bareWorkers(100)
  rmSync(root, { recursive: true, force: true })
  return [
    { name: "start-up to ready, empty log", figure: empty.took, ...node },
    { name: "start-up to ready, 100,000 events", figure: full.took, ...node },
    { name: "deploy to first answer", figure: answer, ...node },
    {
      name: "recovery of 100 services",
      figure: recovery,
      unit: "ms",
      baseline: workers,
      baselineName: "100 bare worker threads",
    },
  ]
}
