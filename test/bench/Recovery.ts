/**
 * What a long log costs at a restart: from the start of the process to ready, with a hundred
 * services in boxes and with none, on a log of a million events beside the same on a thousand; and
 * what the whole log costs where it must be read from its beginning.
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import * as Schema from "effect/Schema"

import { draft, type EventDraft } from "../../src/domain/Event.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { LoggedSpec } from "../../src/domain/ServiceSpec.ts"
import { sha256 } from "../kernel/Sha256.ts"
import { call, type KernelProcess, ready, startKernel } from "../process/KernelProcess.ts"
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
  const { json: recovery } = await call(running!, "GET", "/v1/recovery")
  const { json: verification } = await call(running!, "GET", "/v1/verification")
  await running!.end("SIGKILL")
  if (recovery.recovered !== expected || verification.status !== "ok") {
    throw new Error(`${recovery.recovered} recovered, ${JSON.stringify(verification)}`)
  }
  return { whole, recovery: recovery.durationMs, verification: verification.durationMs }
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
    const shorter = `the same with ${short} events`
    const restored = await startWithTokens(tokens)
    return [
      row(
        `restart to ready: ${services} services, ${long} events`,
        full.long.whole,
        shorter,
        full.short.whole,
      ),
      row(
        "of that: bringing the services back into their boxes",
        full.long.recovery,
        "the whole restart",
        full.long.whole,
      ),
      row("of that: verification", full.long.verification, shorter, full.short.verification),
      row(
        `restart to ready: no service, ${long} events`,
        bare.long.whole,
        shorter,
        bare.short.whole,
      ),
      row(
        `restart to ready: no service, ${short} events, no checkpoint`,
        folded.whole,
        "with its checkpoint",
        bare.short.whole,
      ),
      row(
        `restart to ready: no service, ${long} events, no checkpoint`,
        lost.whole,
        "with its checkpoint",
        bare.long.whole,
      ),
      row(`${tokens} tokens restored`, restored.whole, "reading their rows", restored.raw),
      ...(await benchVerification(long)),
    ]
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
