/**
 * The services' stores on a real database, to be opened, broken, closed and opened again by tests.
 */
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

import type { makeConnection } from "../../plugins/sqlite/Connection.ts"
import { layerSqlite } from "../../plugins/sqlite/index.ts"
import type { StoredValue } from "../../src/domain/KeyValue.ts"
import { KernelConfig, KernelSettings } from "../../src/kernel/KernelConfig.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { layerKeyValueStore } from "../../src/kernel/store/KeyValueStoreSql.ts"
import { makeDisk } from "./harness/Disk.ts"
import { layerDigest } from "./Sha256.ts"

/** Where and how to open stores. */
export interface StoreOptions {
  readonly filename?: string
  readonly settings?: Partial<KernelSettings>
  readonly open?: typeof makeConnection
}

/** The stores, the log, and the database they are in. */
export const layerStores = ({ filename, settings, open }: StoreOptions = {}) =>
  layerKeyValueStore.pipe(
    Layer.provideMerge(layerEventStore),
    Layer.provideMerge(
      layerSqlite({ filename: filename ?? makeDisk().database, busyTimeoutMs: 0 }, open),
    ),
    Layer.provideMerge(layerDigest),
    Layer.provideMerge(
      Layer.succeed(KernelConfig, Schema.decodeSync(KernelSettings)({ ...settings })),
    ),
  )

/** A JSON value as the kernel holds it. */
export const jsonValue = (value: unknown): StoredValue => ({
  format: "json",
  bytes: new TextEncoder().encode(JSON.stringify(value)),
})

/** What a stored value says. */
export const plainOf = ({ format, bytes }: StoredValue): unknown =>
  format === "json" ? JSON.parse(new TextDecoder().decode(bytes)) : bytes
