/**
 * What a healthy service's clients notice of another tenant that runs ten bombs at once: the 99th
 * percentile of its round trips through the gateway beside its own without them, in the same run.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { call, type KernelProcess, ready, startKernel } from "../process/KernelProcess.ts"
import { type Measurement, median } from "./Measurement.ts"

const samples = 2000
/** How often that many are taken, alone and beside the bombs: machines have slow moments. */
const windows = 5
/** How long the bombs run before and while it is measured: several restarts of each that dies. */
const settleMs = 3000

/** What explodes shortly after the start of each, again and again, for as long as it lives. */
const bombs: Readonly<Record<string, string>> = {
  spin: "for (;;);",
  "spin-politely": "const t = Date.now(); while (Date.now() - t < 20);",
  heap: "const a = []; for (;;) a.push(new Array(1e5).fill(1.5))",
  buffers: "try { const a = []; for (;;) a.push(new Uint8Array(32e6).fill(1)) } catch {}",
  microtasks: "const go = () => { queueMicrotask(go) }; go()",
  sort: "const a = Array.from({ length: 1e6 }, Math.random); a.sort(() => Math.random() - 0.5)",
  regex: "/^(([a-z])+.)+[A-Z]([a-z])+$/.test('a'.repeat(80))",
  log: "for (let n = 0; n < 10000; n++) console.log('x'.repeat(200))",
  timers: "for (let n = 0; n < 1000; n++) setTimeout(() => {}, 1)",
  clone: "let o = {}; for (let n = 0; n < 15; n++) o = [o, o]; structuredClone(o)",
}

const sourceOf = (body: string) => `export default {
  start() { setInterval(() => { ${body} }, 5) },
  fetch() { return new Response("boom") },
}`

const limits = { maxRestarts: 1000, maxSeconds: 1, heapMb: 64 }

const deploy = async (
  running: KernelProcess,
  tenant: string,
  serviceId: string,
  source: string,
) => {
  const answer = await call(running, "POST", "/v1/services", {
    tenant,
    body: { serviceId, source, format: "javascript", limits },
  })
  if (answer.status !== 201) throw new Error(`${serviceId} was not deployed: ${answer.text}`)
}

const once = (url: string, agent: Agent, token: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const begin = performance.now()
    const headers = { authorization: `Bearer ${token}`, "x-tenant-id": "healthy" }
    const sent = request(url, { agent, headers }, (response) => {
      response.resume()
      response.on("end", () =>
        response.statusCode === 200
          ? resolve(performance.now() - begin)
          : reject(new Error(`the healthy service answered ${response.statusCode}`)),
      )
    })
    sent.on("error", reject)
    sent.end()
  })

/** Round trips one after the other; the 50th and 99th percentile. */
const measure = async (running: KernelProcess) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const took: Array<number> = []
  for (let n = 0; n < samples; n++)
    took.push(await once(`${running.url}/services/healthy/hello/`, agent, running.token))
  agent.destroy()
  took.sort((left, right) => left - right)
  return [took[Math.floor(samples / 2)]!, took[Math.floor(samples * 0.99)]!] as const
}

/** The medians of all windows, and the worst 99th percentile. */
const measureAll = async (running: KernelProcess) => {
  const found: Array<readonly [number, number]> = []
  for (let n = 0; n < windows; n++) found.push(await measure(running))
  const p99s = found.map(([, p99]) => p99)
  return {
    p50: median(found.map(([p50]) => p50)),
    p99: median(p99s),
    worst: Math.max(...p99s),
  }
}

/** Runs the benchmark. */
export const benchBombs = async (): Promise<ReadonlyArray<Measurement>> => {
  const root = mkdtempSync(join(tmpdir(), "solo-bench-"))
  const running = await startKernel({ dataDir: join(root, "data") })
  await ready(running)
  await deploy(
    running,
    "healthy",
    "hello",
    "export default { fetch() { return new Response('hello') } }",
  )
  await measure(running)
  const alone = await measureAll(running)
  for (const [name, body] of Object.entries(bombs))
    await deploy(running, "hostile", name, sourceOf(body))
  await new Promise((resolve) => setTimeout(resolve, settleMs))
  const beside = await measureAll(running)
  await running.end("SIGTERM")
  rmSync(root, { recursive: true, force: true })
  const row = (name: string, figure: number, baseline: number): Measurement => ({
    name,
    unit: "ms",
    figure,
    baseline,
    baselineName: "alone",
  })
  return [
    row("median beside ten bombs", beside.p50, alone.p50),
    row("p99 beside ten bombs", beside.p99, alone.p99),
    row("p99 beside ten bombs, the worst of five windows", beside.worst, alone.worst),
  ]
}
