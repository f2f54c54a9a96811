/**
 * `npm run golden`: records the log of the version in package.json, by a real run of it. To be run
 * once before a release, and again only as long as that version is not released.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import {
  allEvents,
  call,
  type KernelProcess,
  ready,
  startKernel,
} from "../process/KernelProcess.ts"
import { dump, goldenDirectory, meaningOf } from "./GoldenLog.ts"

const says = (text: string) =>
  `export default { fetch: (_: Request, ctx: { env: Record<string, string> }) =>
    new Response(${JSON.stringify(text)} + (ctx.env["SUFFIX"] ?? "")) }`

const crashing = `export default { start() { setTimeout(() => { throw new Error("recorded") }, 20) },
  fetch: () => new Response("never for long") }`

const deploy = (
  kernel: KernelProcess,
  tenant: string,
  serviceId: string,
  source: string,
  more = {},
) => call(kernel, "POST", "/v1/services", { tenant, body: { serviceId, source, ...more } })

const kill = (kernel: KernelProcess, tenant: string, serviceId: string, query = "") =>
  call(kernel, "DELETE", `/v1/services/${serviceId}${query}`, { tenant })

/** Until an event of this type is in the log. */
const until = async (kernel: KernelProcess, type: string) => {
  while ((await allEvents(kernel, `&type=${type}`)).length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const firstRun = async (kernel: KernelProcess) => {
  await deploy(kernel, "acme", "plain", says("plain"))
  await deploy(kernel, "acme", "doomed", says("doomed"))
  await deploy(kernel, "acme", "phoenix", says("first life"))
  await deploy(kernel, "acme", "javascript", "export default { fetch: () => new Response('js') }", {
    format: "javascript",
    restart: "temporary",
    limits: { heapMb: 32, maxRestarts: 1, startupTimeoutMs: 10_000 },
    env: { SUFFIX: "ignored" },
  })
  await deploy(kernel, "beta", "plain", says("Ünïcode 🌱, of another tenant"), {
    env: { SUFFIX: "!" },
  })
  await deploy(kernel, "acme", "broken", "export default {")
  await deploy(kernel, "acme", "refused", "export default { start() { throw new Error('no') } }")
  await kill(kernel, "acme", "doomed")
  await kill(kernel, "acme", "phoenix", "?force=true")
  await deploy(kernel, "acme", "phoenix", says("second life"))
  await deploy(kernel, "beta", "crashing", crashing, { limits: { maxRestarts: 1 } })
  await until(kernel, "service_gave_up")
  await kill(kernel, "beta", "crashing")
}

const record = async () => {
  const { version } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  )
  const root = mkdtempSync(join(tmpdir(), "solo-golden-"))
  const dataDir = join(root, "data")
  const first = await startKernel({ dataDir })
  await ready(first)
  await firstRun(first)
  await first.end("SIGKILL")
  const second = await startKernel({ dataDir })
  await ready(second)
  await deploy(second, "beta", "late", says("after the crash"))
  await second.end("SIGTERM")
  const target = join(goldenDirectory, version)
  mkdirSync(target, { recursive: true })
  writeFileSync(join(target, "log.sql"), dump(join(dataDir, "solo.db")))
  // The meaning comes from a third run, which the recorded log does not show.
  const third = await startKernel({ dataDir })
  await ready(third)
  const started = (await allEvents(third, "&type=system_started")).at(-1)!
  const meaning = await meaningOf(third, Number(started["id"]) - 1)
  await third.end("SIGTERM")
  writeFileSync(join(target, "meaning.json"), `${JSON.stringify(meaning, null, 2)}\n`)
  rmSync(root, { recursive: true, force: true })
}

await record()
