/**
 * The durable store of each service: keys and values that outlive crashes, restarts and kills, and
 * are removed only on request. It is not the log: what a service writes is no event.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import type { ServiceName } from "../../domain/Identifier.ts"
import type {
  Batch,
  Entry,
  StorePage,
  StoreQuery,
  StoreQuota,
  StoreUsage,
} from "../../domain/KeyValue.ts"
import type { AppendError } from "../log/EventStore.ts"
import type { StorageError } from "../log/Storage.ts"
import type { Caller } from "../services/Deployer.ts"

/** A key, a batch or a query is out of bounds: nothing was done. */
export class StoreInputInvalid extends Schema.TaggedError<StoreInputInvalid>()(
  "StoreInputInvalid",
  { reason: Schema.String },
) {
  override get message(): string {
    return this.reason
  }
}

/** A condition of a batch does not hold: nothing was written. */
export class StoreConflict extends Schema.TaggedError<StoreConflict>()("StoreConflict", {
  key: Schema.String,
  /** The version there is; `null`: there is no such entry. */
  version: Schema.NullOr(Schema.Int),
}) {
  override get message(): string {
    const present = this.version === null ? "there is none" : `it has version ${this.version}`
    return `the condition on the key ${JSON.stringify(this.key)} does not hold: ${present}`
  }
}

const quotaNames = {
  keys: "keys in the store of one service",
  bytes: "bytes in the store of one service",
  tenantBytes: "bytes in all stores of one tenant",
} as const

/** The store may not grow: nothing was written. */
export class StoreQuotaExceeded extends Schema.TaggedError<StoreQuotaExceeded>()(
  "StoreQuotaExceeded",
  { quota: Schema.Literals(["keys", "bytes", "tenantBytes"]), maximum: Schema.Int },
) {
  override get message(): string {
    return `the quota of ${this.maximum} ${quotaNames[this.quota]} is used up; delete something first`
  }
}

/** Too much waits to be written already, by this tenant or by all: nothing was written. */
export class StoreOverloaded extends Schema.TaggedError<StoreOverloaded>()("StoreOverloaded", {
  waitingBytes: Schema.Int,
}) {
  override get message(): string {
    return `${this.waitingBytes} bytes are waiting to be stored already; try again in a moment`
  }
}

/** The kernel is stopping: nothing was written. */
export class StoreClosed extends Schema.TaggedError<StoreClosed>()("StoreClosed", {}) {
  override get message(): string {
    return "the kernel is stopping and stores nothing more"
  }
}

/** What is on disk under this key is not what was put there. */
export class StoreDamaged extends Schema.TaggedError<StoreDamaged>()("StoreDamaged", {
  key: Schema.String,
}) {
  override get message(): string {
    return `what is stored under the key ${JSON.stringify(this.key)} is damaged; put or delete it, or restore a backup`
  }
}

/** The service never stored anything: there is nothing to remove. */
export class StoreNotFound extends Schema.TaggedError<StoreNotFound>()("StoreNotFound", {
  serviceId: Schema.String,
}) {
  override get message(): string {
    return `the service ${this.serviceId} has no store`
  }
}

/** Why nothing was read. */
export type StoreReadError = StoreInputInvalid | StoreDamaged | StorageError

/** Why a batch was not carried out; no part of it was. */
export type StoreWriteError =
  | StoreInputInvalid
  | StoreConflict
  | StoreQuotaExceeded
  | StoreOverloaded
  | StoreClosed
  | StorageError

/** What a store holds and may hold. */
export interface StoreFigures extends StoreUsage {
  /** Whether the service ever stored anything. */
  readonly exists: boolean
  readonly quota: StoreQuota
}

/** The stores of all services. */
export class KeyValueStore extends Context.Service<
  KeyValueStore,
  {
    readonly get: (
      name: ServiceName,
      key: string,
    ) => Effect.Effect<Entry | undefined, StoreReadError>
    /**
     * One page: `limit` entries, fewer where they would be more than `maxPageBytes`, at least one
     * where there is any.
     */
    readonly list: (
      name: ServiceName,
      query: StoreQuery,
    ) => Effect.Effect<StorePage, StoreReadError>
    /**
     * Carries out a batch whole or not at all; durable when it returns. The result is the version
     * of what it wrote; versions of one service only grow. Interruption waits for a batch that is
     * being written, and takes back one that is not.
     */
    readonly write: (name: ServiceName, batch: Batch) => Effect.Effect<number, StoreWriteError>
    readonly figures: (name: ServiceName) => Effect.Effect<StoreFigures, StorageError>
    /** Removes all a service stored, durably and at once; logs it. */
    readonly clear: (
      caller: Caller,
      name: ServiceName,
    ) => Effect.Effect<void, StoreNotFound | AppendError>
    /** Returns when everything accepted before it is durable or refused. */
    readonly flush: Effect.Effect<void>
  }
>()("solo/kernel/store/KeyValueStore") {}
