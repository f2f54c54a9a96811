/**
 * An event as a row of the table `events`, in both directions. Whatever is read back is decoded:
 * a row that is no event of the catalogue comes back as the reason why.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import {
  type Event,
  type EventDraft,
  type EventType,
  isEventType,
  type Payload,
  payloads,
  schemaVersion,
} from "../../domain/Event.ts"
import { linkHash, type Sha256Hex } from "../../domain/HashChain.ts"
import { ServiceId, TenantId } from "../../domain/Identifier.ts"

/** The columns of `events`. */
export const EventRow = Schema.Struct({
  id: Schema.Int,
  time: Schema.String,
  tenant_id: Schema.NullOr(TenantId),
  service_id: Schema.NullOr(ServiceId),
  type: Schema.String,
  version: Schema.Int,
  payload: Schema.String,
  actor: Schema.NullOr(Schema.String),
  causation_id: Schema.NullOr(Schema.Int),
  hash: Schema.String,
})
/** @see {@link EventRow} */
export type EventRow = typeof EventRow.Type

const decodeColumns = Schema.decodeUnknownResult(EventRow)

const codecs = <F>(make: (schema: Schema.Codec<unknown, unknown>) => F) =>
  new Map(
    Object.entries(payloads).map(([type, schema]) => [
      type,
      make(Schema.fromJsonString(Schema.toCodecJson(schema as Schema.Codec<unknown, unknown>))),
    ]),
  )

const decoders = codecs((schema) => Schema.decodeUnknownResult(schema))
const encoders = codecs((schema) => Schema.encodeSync(schema))

/** The JSON text of a draft's payload. A payload that does not fit its schema is a defect. */
export const encodePayload = (draft: EventDraft): string =>
  encoders.get(draft.type)!(draft.payload) as string

/** Reads an event back, or says why it cannot be read. */
export const fromRow = (row: unknown): Result.Result<Event, string> => {
  const columns = decodeColumns(row)
  if (Result.isFailure(columns)) return Result.fail(columns.failure.message)
  const { id, time, type, version, payload, actor, hash } = columns.success
  if (!isEventType(type)) return Result.fail(`unknown type ${JSON.stringify(type)}`)
  const decoded = decoders.get(type)!(payload)
  if (Result.isFailure(decoded)) return Result.fail(decoded.failure.message)
  return Result.succeed({
    id,
    time,
    tenantId: columns.success.tenant_id,
    serviceId: columns.success.service_id,
    type,
    version,
    payload: decoded.success as Payload<EventType>,
    actor,
    causationId: columns.success.causation_id,
    hash,
  } as Event)
}

/** Gives a draft its place in the chain: the row to insert. */
export const toRow = (
  sha256: Sha256Hex,
  previous: { readonly id: number; readonly hash: string },
  time: string,
  draft: EventDraft,
  payload: string,
): EventRow => {
  const link = { ...draft, id: previous.id + 1, time, version: schemaVersion, payload }
  return {
    id: link.id,
    time,
    tenant_id: draft.tenantId,
    service_id: draft.serviceId,
    type: draft.type,
    version: schemaVersion,
    payload,
    actor: draft.actor,
    causation_id: draft.causationId,
    hash: linkHash(sha256, previous.hash, link),
  }
}

/** The event that a draft became when it was written as `row`. */
export const toEvent = (draft: EventDraft, row: EventRow): Event =>
  ({ ...draft, id: row.id, time: row.time, version: row.version, hash: row.hash }) as Event
