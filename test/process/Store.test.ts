/**
 * Services that write to their stores while kernels and runners are killed: what was acknowledged
 * is there, no batch is half there, nothing goes backwards (promise 1). `TEST_KILLS` kills, six
 * unless told otherwise.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { makeRandom } from "./campaign/Random.ts"
import { descendants, isAlive } from "./Descendants.ts"
import {
  allEvents,
  call,
  dataDirectory,
  kernel,
  type KernelProcess,
  ready,
  startKernel,
} from "./KernelProcess.ts"

const kills = Number(process.env["TEST_KILLS"] ?? 4)
const seed = Number(process.env["TEST_SEED"] ?? 1)

const services = Array.from({ length: 16 }, (_, n) => ({
  tenant: `tenant${n % 4}`,
  serviceId: `writer${n}`,
}))

/** A bound against hanging; that a second is enough is the business of `Orphans.test.ts`. */
const patienceMs = 15_000

/** Steps that a service remembers one by one. */
const window = 100

/** Every step is one batch: two keys alike, a counter, one more step remembered, one forgotten. */
const source = `
const pad = (n) => String(n).padStart(9, "0")
const pages = async (store, prefix) => {
  const entries = []
  let cursor
  do {
    const page = await store.list({ prefix, cursor, limit: 30 })
    entries.push(...page.entries)
    cursor = page.cursor
  } while (cursor !== undefined)
  return entries
}
export default { async fetch(request, { store }) {
  const n = Number(new URL(request.url).searchParams.get("n"))
  if (n === 0) {
    const [left, right, count] = (await store.list({ prefix: "state/" })).entries
    return Response.json({ pair: [left?.value, right?.value], versions: [left?.version, right?.version],
      count: count?.value ?? 0, seen: (await pages(store, "step/")).map(({ value }) => value) })
  }
  const count = await store.entry("state/z")
  const whole = { n, fill: "x".repeat((n * 7919) % 20000), end: n }
  await store.batch([
    { type: "put", key: "state/a", value: whole },
    { type: "put", key: "state/b", value: whole },
    { type: "put", key: "state/z", value: (count?.value ?? 0) + 1 },
    { type: "put", key: "step/" + pad(n), value: n },
    ...(n > ${window} ? [{ type: "delete", key: "step/" + pad(n - ${window}) }] : []),
  ], { conditions: [{ key: "state/z", version: count?.version ?? null }] })
  return Response.json(n)
} }`

interface Whole {
  readonly n: number
  readonly fill: string
  readonly end: number
}

interface Told {
  readonly pair: readonly [Whole | null, Whole | null]
  readonly versions: readonly [number | null, number | null]
  readonly count: number
  readonly seen: ReadonlyArray<number>
}

/** What a client knows of its service. */
interface Client {
  readonly tenant: string
  readonly serviceId: string
  /** The last step that was tried, and all that were acknowledged. */
  tried: number
  readonly acknowledged: Set<number>
  /** The highest that was ever read. */
  read: number
  count: number
  version: number
}

/** The kernel of the moment, and whether clients go on. */
interface Stage {
  running: KernelProcess
  over: boolean
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const ask = async (stage: Stage, { serviceId, tenant }: Client, n: number) => {
  try {
    const answer = await call(stage.running, "GET", `/services/${tenant}/${serviceId}/?n=${n}`)
    return answer.status === 200 ? (answer.json as unknown) : undefined
  } catch {
    return undefined
  }
}

/** Compares what a service says with what its client knows. */
const judge = (client: Client, { pair, versions, count, seen }: Told): void => {
  const what = `${client.serviceId} tried ${client.tried}`
  assert.deepStrictEqual(pair[0], pair[1], `${what}: no batch is torn`)
  assert.strictEqual(versions[0], versions[1], `${what}: no batch is torn`)
  const n = pair[0]?.n ?? 0
  if (pair[0] !== null) {
    assert.strictEqual(pair[0].end, n, `${what}: no value is torn`)
    assert.strictEqual(pair[0].fill.length, (n * 7919) % 20000, `${what}: no value is torn`)
  }
  const last = Math.max(0, ...client.acknowledged)
  assert.isAtLeast(n, Math.max(last, client.read), `${what}: nothing acknowledged is lost`)
  assert.isAtMost(n, client.tried)
  assert.isAtLeast(count, Math.max(client.count, client.acknowledged.size), what)
  assert.isAtMost(count, client.tried)
  assert.isAtLeast(versions[0] ?? 0, client.version, `${what}: versions only grow`)
  const there = new Set(seen)
  for (let step = Math.max(1, n - window + 1); step <= n; step++)
    if (client.acknowledged.has(step)) assert.isTrue(there.has(step), `${what}: ${step} is there`)
  for (let step = 1; step <= n - window; step++)
    if (client.acknowledged.has(step + window))
      assert.isFalse(there.has(step), `${what}: ${step} stays deleted`)
  Object.assign(client, { read: n, count, version: versions[0] ?? 0 })
}

const examine = async (stage: Stage, client: Client, patienceMs: number): Promise<void> => {
  for (let waited = 0; waited < patienceMs; waited += 50) {
    const told = await ask(stage, client, 0)
    if (told !== undefined) return judge(client, told as Told)
    await pause(50)
  }
  assert.fail(`${client.serviceId} does not answer`)
}

/** Writes until it is over; whatever went wrong, what is there is looked at before going on. */
const write = async (stage: Stage, client: Client): Promise<void> => {
  while (!stage.over) {
    const n = ++client.tried
    const answered = await ask(stage, client, n)
    if (answered === n) client.acknowledged.add(n)
    else await examine(stage, client, 60_000)
  }
}

const deploy = async (stage: Stage, { serviceId, tenant }: Client): Promise<void> => {
  const limits = { maxRestarts: 1000 }
  const body = { serviceId, source, limits }
  const { status, text } = await call(stage.running, "POST", "/v1/services", { tenant, body })
  assert.strictEqual(status, 201, text)
}

const killKernel = async (stage: Stage): Promise<void> => {
  const { dataDir, end, pid } = stage.running
  const runners = descendants(pid)
  await end("SIGKILL")
  for (let waited = 0; runners.some(isAlive) && waited < patienceMs; waited += 20) await pause(20)
  assert.deepStrictEqual(runners.filter(isAlive), [], "no runner outlives its kernel")
  stage.running = await startKernel({ dataDir })
  await ready(stage.running)
}

const isRunner = (pid: number) => {
  try {
    return /^Name:\s+(node|MainThread)/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

const kill = async (stage: Stage, random: ReturnType<typeof makeRandom>): Promise<string> => {
  if (random.chance(0.4)) {
    await killKernel(stage)
    return "kernels"
  }
  const runners = descendants(stage.running.pid).filter(isRunner)
  if (runners.length > 0) process.kill(random.pick(runners), "SIGKILL")
  return "runners"
}

const storm = async (stage: Stage, clients: ReadonlyArray<Client>) => {
  const random = makeRandom(seed)
  const figures: Record<string, number> = {}
  const writing = Promise.all(clients.map((client) => write(stage, client)))
  const killing = async () => {
    for (let n = 0; n < kills; n++) {
      await pause(random.between(100, 900))
      const what = await kill(stage, random)
      figures[what] = (figures[what] ?? 0) + 1
    }
    await pause(300)
  }
  try {
    await Promise.race([killing(), writing])
  } finally {
    stage.over = true
  }
  await writing
  for (const client of clients) await examine(stage, client, 10_000)
  const acknowledged = clients.map((client) => client.acknowledged.size)
  return { ...figures, acknowledged: acknowledged.reduce((sum, one) => sum + one, 0) }
}

const checkRemoval = async (stage: Stage, [first, second]: ReadonlyArray<Client>) => {
  const path = `/v1/services/${first!.serviceId}`
  const { tenant } = first!
  const get = () => call(stage.running, "GET", `${path}/store`, { tenant })
  const before = await get()
  assert.isAbove(before.json.keys, 3)
  assert.strictEqual((await call(stage.running, "DELETE", path, { tenant })).status, 200)
  assert.deepStrictEqual((await get()).json, before.json, "a killed service keeps its store")
  await deploy(stage, first!)
  await examine(stage, first!, 1000)
  assert.strictEqual((await call(stage.running, "DELETE", path, { tenant })).status, 200)
  const removed = await call(stage.running, "DELETE", `${path}/store`, { tenant })
  assert.deepInclude(removed.json, { keys: 0, bytes: 0 })
  await killKernel(stage)
  assert.deepInclude((await get()).json, { keys: 0, bytes: 0 })
  await deploy(stage, first!)
  const told = (await ask(stage, first!, 0)) as Told
  assert.deepStrictEqual([told.count, told.seen], [0, []], "what was removed does not come back")
  await examine(stage, second!, 1000)
  const none = await call(stage.running, "GET", "/v1/services/none/store", { tenant })
  assert.strictEqual(none.status, 404)
}

/** What is stored is well, and in no event and no log. */
const checkTraces = async ({ running }: Stage) => {
  const verified = await call(running, "POST", "/v1/verification?full=true")
  assert.strictEqual(verified.json.status, "ok", verified.text)
  assert.notInclude(JSON.stringify(await allEvents(running)), "xxxx")
  const { stderr, stdout } = running.output()
  assert.notInclude(stdout + stderr, "xxxx")
}

describe.skipIf(process.platform !== "linux")("ctx.store", () => {
  it.live("damaged figures of a store are answered, and found by a full verification", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const tenant = "acme"
      const source = `export default { async fetch(_, { store }) {
        await store.put("a", 1)
        return Response.json(await store.get("a"))
      } }`
      const first = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        const body = { serviceId: "shop", source }
        await call(first, "POST", "/v1/services", { tenant, body })
        assert.strictEqual((await call(first, "GET", "/services/acme/shop/")).json, 1)
        await first.end("SIGTERM")
      })
      const database = new DatabaseSync(join(dataDir, "solo.db"))
      database.exec("UPDATE stores SET keys = -1, bytes = 9223372036854775807")
      database.close()
      const second = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(second)
        const told = await call(second, "GET", "/v1/services/shop/store", { tenant })
        assert.strictEqual(told.status, 200, told.text)
        assert.deepInclude(told.json, { keys: 0, bytes: Number.MAX_SAFE_INTEGER })
        const { json } = await call(second, "POST", "/v1/verification?full=true")
        assert.strictEqual(json.status, "error")
        assert.include(JSON.stringify(json.inconsistencies), "shop")
      })
    }),
  )

  it.live(
    `16 services keep what they were told is stored through ${kills} kills`,
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const stage = yield* Effect.acquireRelease(
          Effect.promise(async (): Promise<Stage> => ({
            running: await startKernel({ dataDir }),
            over: false,
          })),
          ({ running }) => Effect.promise(() => running.end("SIGKILL")),
        )
        const clients = services.map((service): Client => ({
          ...service,
          tried: 0,
          acknowledged: new Set(),
          read: 0,
          count: 0,
          version: 0,
        }))
        yield* Effect.promise(async () => {
          await ready(stage.running)
          for (const client of clients) await deploy(stage, client)
        })
        yield* Effect.logInfo(yield* Effect.promise(() => storm(stage, clients)))
        yield* Effect.promise(() => checkRemoval(stage, clients))
        yield* Effect.promise(() => checkTraces(stage))
      }).pipe(Effect.scoped),
    60_000 + kills * 20_000,
  )
})
