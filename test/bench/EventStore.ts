/**
 * Durable appends per second through the event store, beside the same rows written by hand with
 * `node:sqlite`: one commit each, and in batches as large as the writer's could be.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { draft } from "../../src/domain/Event.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { layerDigest } from "../kernel/Sha256.ts"
import { type Measurement, timed } from "./Measurement.ts"

const reason = "x".repeat(200)

/** Rows per second that `node:sqlite` alone commits durably in transactions of `batch` rows. */
const raw = async (directory: string, batch: number, total: number): Promise<number> => {
  const database = new DatabaseSync(join(directory, `raw-${batch}.db`))
  database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
  database.exec(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, time TEXT, type TEXT, payload TEXT, hash TEXT)",
  )
  const insert = database.prepare("INSERT INTO t (time, type, payload, hash) VALUES (?, ?, ?, ?)")
  const took = await timed(async () => {
    for (let done = 0; done < total; done += batch) {
      database.exec("BEGIN IMMEDIATE")
      for (let n = 0; n < batch; n++)
        insert.run("2026-01-01", "t", `{"reason":"${reason}"}`, reason)
      database.exec("COMMIT")
    }
  })
  database.close()
  return (total / took) * 1000
}

const append = (concurrency: number, total: number) =>
  Effect.gen(function* () {
    const store = yield* EventStore
    const one = store.emit(draft("system_shutdown_started", { reason }))
    const each = Effect.forEach(Array.from({ length: total / concurrency }), () => one, {
      discard: true,
    })
    const [took] = yield* Effect.timed(
      Effect.all(
        Array.from({ length: concurrency }, () => each),
        { concurrency: "unbounded", discard: true },
      ),
    )
    return (total / Duration.toMillis(took)) * 1000
  })

/** Runs the benchmark. */
export const benchEventStore = async (): Promise<ReadonlyArray<Measurement>> => {
  const directory = mkdtempSync(join(tmpdir(), "solo-bench-"))
  const rows: Array<Measurement> = []
  for (const [concurrency, total] of [
    [1, 500],
    [64, 16_384],
    [1024, 65_536],
  ] as const) {
    const store = layerEventStore.pipe(
      Layer.provide(
        Layer.mergeAll(
          layerSqlite({ filename: join(directory, `solo-${concurrency}.db`), busyTimeoutMs: 1000 }),
          layerDigest,
        ),
      ),
    )
    const figure = await Effect.runPromise(append(concurrency, total).pipe(Effect.provide(store)))
    const baseline = await raw(directory, concurrency, total)
    rows.push({
      name: `durable appends, ${concurrency} concurrent callers`,
      unit: "events/s",
      figure,
      baseline,
      baselineName:
        concurrency === 1
          ? "raw node:sqlite, a commit each"
          : `raw node:sqlite, batches of ${concurrency}`,
    })
  }
  rmSync(directory, { recursive: true, force: true })
  return rows
}
