/**
 * A store as a row of the table `stores`: whose it is, and what its entries add up to. It knows
 * nothing of the entries themselves.
 */
import * as Schema from "effect/Schema"

import { ServiceId, TenantId } from "../../domain/Identifier.ts"

/** The columns of `stores`. */
const StoreRow = Schema.Struct({
  id: Schema.Int,
  tenant_id: TenantId,
  service_id: ServiceId,
  /** The newest version that it gave an entry. */
  sequence: Schema.Int,
  /** How many entries it has, and what they take, in bytes. */
  keys: Schema.Int,
  bytes: Schema.Int,
  /** What its entries' checksums add up to. @see toggle */
  digest: Schema.String,
})
/** The columns of `stores`. */
export type StoreRow = typeof StoreRow.Type

/** Reads a store's row back, or says why it cannot be read. */
export const fromStoreRow = Schema.decodeUnknownResult(StoreRow)
