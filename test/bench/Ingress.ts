/**
 * Requests to a service through the gateway beside an empty route of Effect's HttpRouter, each in a
 * process of its own and asked by the same client: requests per second at 64 connections, and the
 * median round trip of one. Both are asked in turns, since machines have fast and slow minutes.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { call, ready, startKernel } from "../process/KernelProcess.ts"
import { type Measurement, median, timed } from "./Measurement.ts"

const connections = 64
const requests = 20_000
const roundTrips = 1000
const rounds = 7

interface Target {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

const ask = ({ headers, url }: Target, agent: Agent): Promise<void> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { agent, headers }, (response) => {
      response.resume()
      response.on("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`${response.statusCode}`)),
      )
    })
    sent.on("error", reject)
    sent.end()
  })

const perSecond = async (target: Target): Promise<number> => {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  let left = requests
  const took = await timed(() =>
    Promise.all(
      Array.from({ length: connections }, async () => {
        while (left-- > 0) await ask(target, agent)
      }),
    ),
  )
  agent.destroy()
  return (requests / took) * 1000
}

const roundTrip = async (target: Target): Promise<number> => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const sample: Array<number> = []
  for (let n = 0; n < roundTrips; n++) sample.push(await timed(() => ask(target, agent)))
  agent.destroy()
  return median(sample)
}

interface Contestant {
  readonly target: Target
  readonly end: () => Promise<unknown>
}

const emptyRoute = async (): Promise<Contestant> => {
  const script = fileURLToPath(new URL("EmptyRoute.ts", import.meta.url))
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] })
  const [port] = (await once(child.stdout, "data")) as [Buffer]
  const end = () => {
    child.kill("SIGKILL")
    return once(child, "close")
  }
  return { target: { url: `http://127.0.0.1:${String(port).trim()}/`, headers: {} }, end }
}

const throughKernel = async (): Promise<Contestant> => {
  const root = mkdtempSync(join(tmpdir(), "solo-bench-"))
  const running = await startKernel({ dataDir: join(root, "data") })
  await ready(running)
  const source = "export default { fetch: () => new Response('hello') }"
  const deployed = await call(running, "POST", "/v1/services", {
    tenant: "bench",
    body: { serviceId: "hello", source },
  })
  if (deployed.status !== 201) throw new Error(deployed.text)
  const headers = { authorization: `Bearer ${running.token}`, "x-tenant-id": "bench" }
  const end = async () => {
    await running.end("SIGTERM")
    rmSync(root, { recursive: true, force: true })
  }
  return { target: { url: `${running.url}/services/bench/hello/`, headers }, end }
}

/** The median of both figures over all rounds, for each, after one round to be compiled. */
const measure = async (contestants: ReadonlyArray<Contestant>) => {
  const figures = contestants.map(({ target }) => ({
    target,
    perSecond: new Array<number>(),
    roundTrip: new Array<number>(),
  }))
  for (const { target } of figures) await perSecond(target)
  for (let round = 0; round < rounds; round++)
    for (const figure of figures) {
      figure.perSecond.push(await perSecond(figure.target))
      figure.roundTrip.push(await roundTrip(figure.target))
    }
  return figures.map((figure) => ({
    perSecond: median(figure.perSecond),
    roundTrip: median(figure.roundTrip),
  }))
}

/** Runs the benchmark. */
export const benchIngress = async (): Promise<ReadonlyArray<Measurement>> => {
  const contestants = [await emptyRoute(), await throughKernel()]
  const [empty, kernel] = await measure(contestants)
  for (const { end } of contestants) await end()
  const baselineName = "empty HttpRouter route"
  return [
    {
      name: `requests to a service, ${connections} connections`,
      unit: "/s",
      figure: kernel!.perSecond,
      baseline: empty!.perSecond,
      baselineName,
    },
    {
      name: "round trip, median",
      unit: "ms",
      figure: kernel!.roundTrip,
      baseline: empty!.roundTrip,
      baselineName,
    },
  ]
}
