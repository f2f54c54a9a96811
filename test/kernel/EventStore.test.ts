import { createHash } from "node:crypto"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { draft } from "../../src/domain/Event.ts"
import { Digest } from "../../src/kernel/Digest.ts"
import { EventStore } from "../../src/kernel/EventStore.ts"
import { layerEventStore } from "../../src/kernel/EventStoreSql.ts"

const layer = layerEventStore.pipe(
  Layer.provide(
    Layer.mergeAll(
      layerSqlite({
        filename: join(mkdtempSync(join(tmpdir(), "solo-")), "solo.db"),
        busyTimeoutMs: 10,
      }),
      Layer.succeed(Digest, { sha256: (t) => createHash("sha256").update(t).digest("hex") }),
    ),
  ),
)
it.live("smoke", () =>
  Effect.gen(function* () {
    const store = yield* EventStore
    const sub = yield* store
      .subscribe()
      .pipe(Stream.take(2050), Stream.runCollect, Effect.forkChild)
    for (let i = 0; i < 50; i++)
      yield* store.emit(draft("system_shutdown_started", { reason: "x" + i }))
    yield* Effect.all(
      Array.from({ length: 2000 }, (_, i) =>
        store.emit(draft("system_shutdown_started", { reason: "y" + i })),
      ),
      { concurrency: "unbounded" },
    )
    for (let i = 0; i < 200; i++)
      yield* store.emit(draft("system_shutdown_started", { reason: "z" + i }))
    const got = yield* Fiber.join(sub)
    assert.deepStrictEqual(
      Array.from(got, (e) => e.id),
      Array.from({ length: 2050 }, (_, i) => i + 1),
    )
    assert.strictEqual((yield* store.stream().pipe(Stream.runCollect)).length, 2250)
    assert.strictEqual((yield* store.filter({ sinceId: 100, limit: 7 })).length, 7)
    yield* store.flush
  }).pipe(Effect.provide(layer)),
)
