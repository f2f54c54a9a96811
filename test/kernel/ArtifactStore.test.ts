/**
 * Source texts on disk: what a deployment named is there, whole, or said to be damaged (promises 1
 * and 4).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { ArtifactStore } from "../../src/kernel/log/ArtifactStore.ts"
import { makeDisk } from "./harness/Disk.ts"
import { layerDigest, sha256 } from "./Sha256.ts"

const on = <E>(
  use: (
    store: ArtifactStore["Service"],
    sql: SqlClient,
  ) => Effect.Effect<void, E, ArtifactStore | SqlClient>,
) =>
  Effect.suspend(() =>
    Effect.flatMap(ArtifactStore, (store) =>
      Effect.flatMap(SqlClient, (sql) => use(store, sql)),
    ).pipe(
      Effect.provide(
        ArtifactStore.layer.pipe(
          Layer.provideMerge(layerSqlite({ filename: makeDisk().database, busyTimeoutMs: 0 })),
          Layer.provideMerge(layerDigest),
        ),
      ),
    ),
  )

const source = "export default { fetch: () => new Response('☃') }"
const artifact = sha256(source)

describe("ArtifactStore", () => {
  it.effect("keeps a text once, under its hash, however often it is deployed (promise 1)", () =>
    on((store, sql) =>
      Effect.gen(function* () {
        assert.strictEqual(store.idOf(source), artifact)
        yield* store.keep(artifact, source)
        yield* store.keep(artifact, source)
        yield* store.keep(sha256("other"), "other")
        assert.strictEqual(yield* store.load(artifact), source)
        assert.strictEqual((yield* sql`SELECT * FROM artifacts`).length, 2)
      }),
    ),
  )

  it.effect("says whether a text is missing or was changed, and what to do (promise 4)", () =>
    on((store, sql) =>
      Effect.gen(function* () {
        const missing = yield* Effect.flip(store.load(artifact))
        assert.strictEqual(
          missing.message,
          `artifact ${artifact} is missing; deploy the service again`,
        )
        yield* store.keep(artifact, source)
        yield* sql`UPDATE artifacts SET source = ${`${source} `}`
        const changed = yield* Effect.flip(store.load(artifact))
        assert.strictEqual(
          changed.message,
          `artifact ${artifact} does not match its hash; deploy the service again`,
        )
      }),
    ),
  )

  it.effect("says that storage failed where it did, and not that a text is missing", () =>
    on((store, sql) =>
      Effect.gen(function* () {
        yield* sql`DROP TABLE artifacts`
        const error = yield* Effect.flip(store.load(artifact))
        assert.strictEqual(error._tag, "StorageError")
        assert.include(error.message, "read an artifact: ")
      }),
    ),
  )
})
