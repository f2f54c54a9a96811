/**
 * What a long log costs at a restart: from the start of the process to ready, with a hundred
 * services in boxes and with none, on a log of a million events beside the same on a thousand; and
 * what the whole log costs where it must be read from its beginning.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import * as Schema from "effect/Schema"

import { draft, type EventDraft } from "../../src/domain/Event.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { LoggedSpec } from "../../src/domain/ServiceSpec.ts"
import { sha256 } from "../kernel/Sha256.ts"
import { call, type KernelProcess, ready, startKernel } from "../process/KernelProcess.ts"
import { look } from "../soak/Sample.ts"
import { startWithTokens } from "./Capabilities.ts"
import { fillLog } from "./LogFile.ts"
import { type Measurement, median, timed } from "./Measurement.ts"
import { benchVerification } from "./Verification.ts"

const services = 100
const short = 1000
const long = 1_000_000
const tokens = 10_000
const repeats = 3

/** Services that came and went, in the events between. */
const churning = 500

/** Events from a deployment to the kill that follows it. */
const turn = 20

/** One event in ten is a fact that recovery folds; what was deployed was killed again. */
const draftsOf =
  (prefix: string) =>
  (index: number): EventDraft => {
    const turns = Math.floor(index / turn)
    const serviceId = ServiceId.make(`${prefix}-${turns % churning}`)
    const origin = { tenantId: TenantId.make(`tenant-${turns % 7}`), serviceId }
    const revision = Math.floor(turns / churning) + 1
    if (index % turn === 0) {
      const spec = Schema.decodeSync(LoggedSpec)({ serviceId, artifact: sha256(serviceId) })
      return draft("service_deployed", { revision, spec }, origin)
    }
    return index % turn === turn - 1
      ? draft("service_killed", { revision, force: false }, origin)
      : draft("service_crashed", { revision, reason: `it threw: ${index} is odd` }, origin)
  }

/** One restart, in milliseconds. */
interface Restart {
  readonly whole: number
  readonly recovery: number
  readonly verification: number
  /** Time of processors that the kernel's process took, services not included. */
  readonly cpu: number
  /** Memory it held when it was ready, in bytes. */
  readonly rss: number
}

/** Milliseconds of a tick of the process's clock, as Linux counts. */
const tickMs = 10

const cpuOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

const startReady = async (dataDir: string): Promise<KernelProcess> => {
  const running = await startKernel({ dataDir })
  await ready(running)
  return running
}

/** Starts a kernel, expects so many services, and ends it as a crash would. */
const restart = async (dataDir: string, expected: number): Promise<Restart> => {
  let running: KernelProcess | undefined
  const whole = await timed(async () => (running = await startReady(dataDir)))
  const { pid } = running!
  const [cpu, { rss }] = [cpuOf(pid), look(pid, dataDir)]
  const { json: recovery } = await call(running!, "GET", "/v1/recovery")
  const { json: verification } = await call(running!, "GET", "/v1/verification")
  await running!.end("SIGKILL")
  if (recovery.recovered !== expected || verification.status !== "ok") {
    throw new Error(`${recovery.recovered} recovered, ${JSON.stringify(verification)}`)
  }
  return { whole, recovery: recovery.durationMs, verification: verification.durationMs, cpu, rss }
}

const deploy = async (running: KernelProcess, n: number) => {
  const source = `export default { fetch: () => new Response("service ${n}") }`
  const body = { serviceId: `kept-${n}`, source }
  const { status, text } = await call(running, "POST", "/v1/services", { tenant: "hundred", body })
  if (status !== 201) throw new Error(text)
}

/** A data directory with so many services and a log of so many events, and its checkpoint. */
const prepare = async (dataDir: string, count: number, length: number) => {
  let running = await startReady(dataDir)
  for (let n = 0; n < count; n += 4) {
    await Promise.all([0, 1, 2, 3].map((lane) => deploy(running, n + lane)))
  }
  await running.end("SIGTERM")
  fillLog(join(dataDir, "solo.db"), length, draftsOf("early"), turn)
  running = await startReady(dataDir)
  await running.end("SIGTERM")
}

const medianOf = (sample: ReadonlyArray<Restart>): Restart => ({
  whole: median(sample.map(({ whole }) => whole)),
  recovery: median(sample.map(({ recovery }) => recovery)),
  verification: median(sample.map(({ verification }) => verification)),
  cpu: median(sample.map(({ cpu }) => cpu)),
  rss: median(sample.map(({ rss }) => rss)),
})

/** The same with a short log and with a long one, in turn. */
const compare = async (root: string, count: number) => {
  const dirs = { short: join(root, `short-${count}`), long: join(root, `long-${count}`) }
  await prepare(dirs.short, count, short)
  cpSync(dirs.short, dirs.long, { recursive: true })
  fillLog(join(dirs.long, "solo.db"), long, draftsOf("late"), turn)
  await (await startReady(dirs.long)).end("SIGTERM")
  const samples = { short: [] as Array<Restart>, long: [] as Array<Restart> }
  for (let n = 0; n < repeats; n++) {
    samples.short.push(await restart(dirs.short, count))
    samples.long.push(await restart(dirs.long, count))
  }
  return { dirs, short: medianOf(samples.short), long: medianOf(samples.long) }
}

const row = (
  name: string,
  figure: number,
  baselineName: string,
  baseline: number,
): Measurement => ({
  name,
  unit: "ms",
  figure,
  baseline,
  baselineName,
})

/** What a restart on the long log takes beside one on the short log. */
const ratios = (
  what: string,
  { short: less, long: more }: Awaited<ReturnType<typeof compare>>,
): ReadonlyArray<Measurement> => {
  const baselineName = `the same with ${short} events`
  return [
    row(`restart to ready: ${what}, ${long} events`, more.whole, baselineName, less.whole),
    row(`processor time of that: ${what}`, more.cpu, baselineName, less.cpu),
    row(`verification within it: ${what}`, more.verification, baselineName, less.verification),
    {
      ...row(`memory when ready: ${what}`, more.rss / 2 ** 20, baselineName, less.rss / 2 ** 20),
      unit: "MiB",
    },
  ]
}

/** A restart that has lost its checkpoints. */
const withoutCheckpoints = async (dataDir: string): Promise<Restart> => {
  const database = new DatabaseSync(join(dataDir, "solo.db"))
  database.exec("DELETE FROM checkpoints")
  database.close()
  return restart(dataDir, 0)
}

/** Runs the benchmark. */
export const benchRecovery = async (): Promise<ReadonlyArray<Measurement>> => {
  const root = mkdtempSync(join(tmpdir(), "solo-bench-"))
  try {
    const full = await compare(root, services)
    const bare = await compare(root, 0)
    const folded = await withoutCheckpoints(bare.dirs.short)
    const lost = await withoutCheckpoints(bare.dirs.long)
    const restored = await startWithTokens(tokens)
    return [
      ...ratios(`${services} services`, full),
      row(
        "of the longer: bringing the services back into their boxes",
        full.long.recovery,
        "the whole restart",
        full.long.whole,
      ),
      ...ratios("no service", bare),
      row(`${short} events, no checkpoint`, folded.whole, "with it", bare.short.whole),
      row(`${long} events, no checkpoint`, lost.whole, "with it", bare.long.whole),
      row(`${tokens} tokens restored`, restored.whole, "reading their rows", restored.raw),
      ...(await benchVerification(long)),
    ]
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
