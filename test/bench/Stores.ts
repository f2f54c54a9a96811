/**
 * Durable puts per second through the services' stores, beside the same rows written by hand with
 * `node:sqlite`: one commit each, and in batches as large as the writer's could be. Both write to
 * the same keys in turns, for what a commit costs depends on how many pages it changes.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import * as Effect from "effect/Effect"

import { KeyValueStore } from "../../src/kernel/store/KeyValueStore.ts"
import { named } from "../kernel/harness/Machine.ts"
import { jsonValue, layerStores } from "../kernel/Stores.ts"
import { type Measurement, median, timed } from "./Measurement.ts"

const text = "x".repeat(200)

/** Services that the callers belong to. */
const services = 16

/** Keys that each caller writes to in turn. */
const keys = 100

/** Turns that store and baseline take, so that both see the same machine. */
const rounds = 10

/** Opens a database of `node:sqlite` alone; the result commits `count` times `batch` rows. */
const openRaw = (filename: string, batch: number) => {
  const database = new DatabaseSync(filename)
  database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
  database.exec(
    "CREATE TABLE t (service INTEGER, key BLOB, value BLOB, PRIMARY KEY (service, key))",
  )
  const put = database.prepare(
    "INSERT INTO t VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
  )
  let written = 0
  return async (count: number): Promise<void> => {
    for (const until = written + count; written < until; written++) {
      // Another one each time: SQLite writes no page whose bytes stay the same.
      const value = Buffer.from(`"${text}${written}"`)
      database.exec("BEGIN IMMEDIATE")
      for (let caller = 0; caller < batch; caller++)
        put.run(caller % services, Buffer.from(`${caller}/${written % keys}`), value)
      database.exec("COMMIT")
    }
  }
}

/** Makes what has each of `callers` put `count` times. */
const openStores = Effect.fnUntraced(function* (callers: number) {
  const stores = yield* KeyValueStore
  const value = jsonValue(text)
  const written = Array.from({ length: callers }, () => 0)
  const put = (caller: number) => {
    const name = named("acme", `service${caller % services}`)
    return Effect.suspend(() => {
      const key = `${caller}/${written[caller]!++ % keys}`
      return stores.write(name, { writes: [{ key, value }], conditions: [] })
    })
  }
  return (count: number) =>
    Effect.forEach(written, (_, caller) => Effect.repeat(put(caller), { times: count - 1 }), {
      concurrency: "unbounded",
      discard: true,
    })
})

const compare = (directory: string, callers: number, count: number) =>
  Effect.gen(function* () {
    const raw = openRaw(join(directory, `raw-${callers}.db`), callers)
    const put = yield* openStores(callers)
    const context = yield* Effect.context<never>()
    const figures: Array<number> = []
    const baselines: Array<number> = []
    for (let round = 0; round < rounds; round++) {
      const took = yield* Effect.promise(() =>
        timed(() => Effect.runPromiseWith(context)(put(count))),
      )
      figures.push((callers * count * 1000) / took)
      baselines.push(
        (callers * count * 1000) / (yield* Effect.promise(() => timed(() => raw(count)))),
      )
    }
    return { figure: median(figures), baseline: median(baselines) }
  })

/** Runs the benchmark. */
export const benchStores = async (): Promise<ReadonlyArray<Measurement>> => {
  const directory = mkdtempSync(join(tmpdir(), "solo-bench-"))
  const rows: Array<Measurement> = []
  for (const [callers, count] of [
    [1, 50],
    [64, 25],
  ] as const) {
    const layer = layerStores({ filename: join(directory, `solo-${callers}.db`) })
    rows.push({
      name: `durable puts, ${callers} concurrent callers`,
      unit: "puts/s",
      baselineName:
        callers === 1 ? "raw node:sqlite, a commit each" : `raw node:sqlite, batches of ${callers}`,
      ...(await Effect.runPromise(Effect.provide(compare(directory, callers, count), layer))),
    })
  }
  rmSync(directory, { recursive: true, force: true })
  return rows
}
