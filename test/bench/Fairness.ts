/**
 * What a tenant that sends one request at a time notices of another that sends hundreds at once:
 * its 99th percentile with the greedy one beside its own without, in the same run, and the same
 * where the gateway lets everybody begin at once.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { call, type KernelProcess, ready, startKernel } from "../process/KernelProcess.ts"
import type { Measurement } from "./Measurement.ts"

const samples = 500
const greedyConnections = 256

/** The greedy one has a process of its own, so that only the kernel can be in the modest one's way. */
const greedy = `
const http = require("node:http")
const [url, token] = process.argv.slice(1)
const agent = new http.Agent({ keepAlive: true })
const again = () => {
  const sent = http.get(url, { agent, headers: { authorization: "Bearer " + token } }, (response) => {
    response.resume()
    response.on("end", again)
  })
  sent.on("error", () => {})
}
for (let n = 0; n < ${greedyConnections}; n++) again()
process.stdout.write("begun")
`

const once = (url: string, agent: Agent, token: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const begin = performance.now()
    const headers = { authorization: `Bearer ${token}` }
    const sent = request(url, { agent, headers }, (response) => {
      response.resume()
      response.on("end", () =>
        response.statusCode === 200
          ? resolve(performance.now() - begin)
          : reject(new Error(`the modest tenant was refused with ${response.statusCode}`)),
      )
    })
    sent.on("error", reject)
    sent.end()
  })

const p99 = async (url: string, token: string): Promise<number> => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const took: Array<number> = []
  for (let n = 0; n < samples; n++) took.push(await once(url, agent, token))
  agent.destroy()
  return took.sort((left, right) => left - right)[Math.floor(samples * 0.99)]!
}

const tokenOf = async (running: KernelProcess, tenant: string): Promise<string> => {
  const body = { permissions: ["read"] }
  return (await call(running, "POST", "/v1/tokens", { tenant, body })).json.token
}

const besideGreed = async (url: string, modest: string, other: string): Promise<number> => {
  const child = spawn(process.execPath, ["-e", greedy, url, other], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  await new Promise((resolve) => child.stdout.once("data", resolve))
  // The first seconds are the compiler's.
  await p99(url, modest)
  const took = await p99(url, modest)
  child.kill("SIGKILL")
  return took
}

const measure = async (root: string, name: string, http: object): Promise<Measurement> => {
  const dataDir = join(root, name.replaceAll(" ", "-"))
  const running = await startKernel({ dataDir, config: { pluginConfig: { http } } })
  await ready(running)
  const url = `${running.url}/v1/services`
  const modest = await tokenOf(running, "modest")
  const other = await tokenOf(running, "greedy")
  await p99(url, modest)
  const baseline = await p99(url, modest)
  const figure = await besideGreed(url, modest, other)
  await running.end("SIGTERM")
  return {
    name: `p99 beside ${greedyConnections} greedy connections, ${name}`,
    unit: "ms",
    figure,
    baseline,
    baselineName: "p99 alone",
  }
}

/** Runs the benchmark. */
export const benchFairness = async (): Promise<ReadonlyArray<Measurement>> => {
  const root = mkdtempSync(join(tmpdir(), "solo-bench-"))
  const fair = await measure(root, "taking turns", {})
  const unfair = await measure(root, "without turns", { maxBegunPerTurn: 10_000 })
  rmSync(root, { recursive: true, force: true })
  return [fair, unfair]
}
