/**
 * Reads the log as it lies in the table and checks it against itself: ids, hash chain, readability;
 * and folds it on the way. It goes in steps and leaves others their turn after each, so a log of
 * any length can be audited while the kernel works.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import { isEventType, schemaVersion } from "../../domain/Event.ts"
import { genesis, linkHash } from "../../domain/HashChain.ts"
import { empty, evolve, factTypes, type State } from "../../domain/State.ts"
import { type Inconsistency, inconsistency, maxListed } from "../../domain/VerificationReport.ts"
import { Digest } from "../log/Digest.ts"
import { type EventRow, fromRow } from "../log/EventRow.ts"

/** Rows a step reads at most. */
const maxRows = 256

/** Payload a step aims at, in UTF-16 code units: rows of a large payload come in smaller steps. */
const stepPayload = 256 * 1024

/** How far a log was audited, and what was found so far. */
export interface LogAudit {
  /** The last event looked at. */
  readonly id: number
  /** Its hash; `undefined` when it is missing, so that the next link cannot be checked. */
  readonly hash: string | undefined
  readonly time: string
  /** The fold up to it. */
  readonly state: State
  /** What was found, at most `maxListed`; `findings` counts it all. */
  readonly inconsistencies: ReadonlyArray<Inconsistency>
  readonly findings: number
  readonly unreadable: number
  readonly clockStepsBack: number
}

/** Before the first event. */
export const auditStart: LogAudit = {
  id: 0,
  hash: genesis,
  time: "",
  state: empty,
  inconsistencies: [],
  findings: 0,
  unreadable: 0,
  clockStepsBack: 0,
}

/** How to go on with an audit. */
export interface AuditOptions {
  readonly from: LogAudit
  /** The last event to look at. */
  readonly untilId: number
  /** Told after each step how far it got. */
  readonly onStep?: (id: number) => void
  /** Events at which the fold is to be remembered. */
  readonly foldsAt?: ReadonlySet<number>
}

/** An audit in the making. */
interface Ledger {
  id: number
  hash: string | undefined
  time: string
  state: State
  inconsistencies: Array<Inconsistency>
  findings: number
  unreadable: number
  clockStepsBack: number
}

const report = (ledger: Ledger, found: Inconsistency) => {
  ledger.findings += 1
  if (ledger.inconsistencies.length < maxListed) ledger.inconsistencies.push(found)
}

const reportGap = (ledger: Ledger, first: number, last: number) => {
  const what = first === last ? `event ${first} is` : `events ${first} to ${last} are`
  report(ledger, inconsistency("ids_gapless", `${what} missing`, { eventId: first }))
}

/** Checks that `row` follows the row before it; whether it certainly does. */
const checkLink = (ledger: Ledger, sha256: (text: string) => string, row: EventRow): boolean => {
  if (row.id !== ledger.id + 1) {
    reportGap(ledger, ledger.id + 1, row.id - 1)
    return false
  }
  if (ledger.hash === undefined) return false
  const hash = linkHash(sha256, ledger.hash, {
    id: row.id,
    time: row.time,
    tenantId: row.tenant_id,
    serviceId: row.service_id,
    type: row.type,
    version: row.version,
    actor: row.actor,
    causationId: row.causation_id,
    payload: row.payload,
  })
  if (hash === row.hash) return true
  const detail = `event ${row.id}, or the hash of the event before it, was changed after it was written`
  report(ledger, inconsistency("chain_holds", detail, { eventId: row.id }))
  return false
}

const facts = new Set<string>(factTypes)

/**
 * Reads a row. One that is as it was written, of a shape this kernel writes, and that the fold
 * does not look at, need not be decoded: that would double the time of an audit.
 */
const readRow = (ledger: Ledger, row: EventRow, intact: boolean): void => {
  if (intact && row.version === schemaVersion && isEventType(row.type) && !facts.has(row.type)) {
    return
  }
  const event = fromRow(row)
  if (Result.isSuccess(event)) {
    ledger.state = evolve(ledger.state, event.success)
    return
  }
  ledger.unreadable += 1
  const [reason] = event.failure.split("\n")
  const detail = `event ${row.id} cannot be read and is skipped: ${reason}`
  report(ledger, inconsistency("events_readable", detail, { eventId: row.id }))
}

const checkRow = (ledger: Ledger, sha256: (text: string) => string, row: EventRow): void => {
  const intact = checkLink(ledger, sha256, row)
  if (row.time < ledger.time) ledger.clockStepsBack += 1
  readRow(ledger, row, intact)
  ledger.id = row.id
  ledger.hash = row.hash
  ledger.time = row.time
}

/** Goes on with an audit, up to and including `untilId`. */
export const auditLog = Effect.fnUntraced(function* ({
  from,
  untilId,
  onStep,
  foldsAt = new Set(),
}: AuditOptions): Effect.fn.Return<
  { readonly audit: LogAudit; readonly folds: ReadonlyMap<number, State> },
  SqlError,
  Digest | SqlClient
> {
  const sql = yield* SqlClient
  const { sha256 } = yield* Digest
  const ledger: Ledger = { ...from, inconsistencies: [...from.inconsistencies] }
  const folds = new Map<number, State>()
  let limit = maxRows
  while (true) {
    const rows = yield* sql<EventRow>`
      SELECT * FROM events WHERE id > ${ledger.id} AND id <= ${untilId} ORDER BY id LIMIT ${limit}`
    let payload = 0
    for (const row of rows) {
      checkRow(ledger, sha256, row)
      payload += row.payload.length
      if (foldsAt.has(row.id)) folds.set(row.id, ledger.state)
    }
    if (rows.length < limit) break
    limit = Math.max(1, Math.min(maxRows, Math.floor((stepPayload * rows.length) / (payload + 1))))
    onStep?.(ledger.id)
    yield* Effect.yieldNow
  }
  if (ledger.id < untilId) {
    reportGap(ledger, ledger.id + 1, untilId)
    ledger.id = untilId
    ledger.hash = undefined
  }
  onStep?.(ledger.id)
  return { audit: ledger, folds }
})
