/**
 * The event store on SQLite: the contract, then what only a real file can do to it. Real full
 * disks, real locks, real read-only files: each a typed error that leaves log and memory as they
 * were, and no trace once its cause is gone (promises 1, 5).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { ArtifactStore } from "../../src/kernel/log/ArtifactStore.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { contractEventStore } from "../contract/EventStore.ts"
import { makeDisk } from "./harness/Disk.ts"
import { layerDigest } from "./Sha256.ts"

const layerStore = (filename: () => string) =>
  Layer.unwrap(
    Effect.sync(() =>
      Layer.mergeAll(layerEventStore, ArtifactStore.layer).pipe(
        Layer.provideMerge(layerSqlite({ filename: filename(), busyTimeoutMs: 0 })),
        Layer.provideMerge(layerDigest),
      ),
    ),
  )

contractEventStore(
  "a file",
  layerStore(() => makeDisk().database),
)
