/**
 * The store as one service has it: its name is fixed here, whatever the service asks, and what the
 * kernel answers is put in words and codes for a program.
 */
import * as Effect from "effect/Effect"

import type { ServiceName } from "../../domain/Identifier.ts"
import type { ServiceStore, StoreRefusal } from "../services/Runtime.ts"
import { KeyValueStore, type StoreReadError, type StoreWriteError } from "./KeyValueStore.ts"

const codes = {
  StoreInputInvalid: "invalid",
  StoreQuotaExceeded: "quota-exceeded",
  StoreOverloaded: "overloaded",
  StoreDamaged: "damaged",
  StoreClosed: "unavailable",
} as const

const refusalOf = (error: StoreReadError | StoreWriteError): StoreRefusal => {
  const { message } = error
  switch (error._tag) {
    case "StoreConflict": {
      const { key, version } = error
      return { code: "conflict", message, conflict: { key, version } }
    }
    case "StorageError":
      return error.fault === "full"
        ? { code: "disk-full", message: "the disk is full: nothing was stored" }
        : { code: "unavailable", message: "the store cannot be reached now; try again later" }
    default:
      return { code: codes[error._tag], message }
  }
}

/** The store of `name`. */
export const serviceStoreOf = (name: ServiceName) =>
  Effect.map(KeyValueStore, (stores): ServiceStore => ({
    get: (key) => Effect.mapError(stores.get(name, key), refusalOf),
    list: (query) => Effect.mapError(stores.list(name, query), refusalOf),
    write: (batch) => Effect.mapError(stores.write(name, batch), refusalOf),
  }))
