/**
 * Compares the secrets that are there with what the log says: stored and not revoked since. It looks
 * at names only; whether a secret opens is `VaultAudit`'s business.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

import type { TenantId } from "../../domain/Identifier.ts"
import { EventStore } from "../log/EventStore.ts"

/** Names read before others get their turn. */
const perStep = 1000

/** How long to wait before the second look, in turns of the event loop. */
const turnsBetweenLooks = 20

/** A secret that is not what the log says. */
export interface Disagreement {
  readonly tenantId: string
  readonly detail: string
}

const keyOfDisagreement = ({ detail, tenantId }: Disagreement) => `${tenantId} ${detail}`

interface Logged {
  readonly tenantId: TenantId
  readonly name: string
  readonly isStored: boolean
}

const keyOf = (tenantId: string, name: string) => `${tenantId} ${name}`

/** The last word of the log on each secret, from after `sinceId` to `untilId`. */
const readLog = Effect.fnUntraced(function* (sinceId: number, untilId: number) {
  const events = yield* EventStore
  const logged = new Map<string, Logged>()
  const types = ["secret_stored", "secret_revoked"] as const
  yield* Stream.runForEachArray(events.stream({ types, sinceId, untilId }), (some) => {
    for (const { payload, tenantId, type } of some) {
      if (tenantId === null || (type !== "secret_stored" && type !== "secret_revoked")) continue
      const { name } = payload
      logged.set(keyOf(tenantId, name), { tenantId, name, isStored: type === "secret_stored" })
    }
    return Effect.yieldNow
  })
  return logged
})

interface Row {
  readonly tenant_id: string
  readonly name: string
}

const readRows = Effect.gen(function* () {
  const sql = yield* SqlClient
  const rows = new Map<string, Row>()
  let last: Row = { tenant_id: "", name: "" }
  while (true) {
    const page: ReadonlyArray<Row> = yield* sql<Row>`
      SELECT tenant_id, name FROM secrets
      WHERE (tenant_id, name) > (${last.tenant_id}, ${last.name})
      ORDER BY tenant_id, name LIMIT ${perStep}`
    for (const row of page) rows.set(keyOf(row.tenant_id, row.name), row)
    if (page.length < perStep) return rows
    last = page.at(-1)!
    yield* Effect.yieldNow
  }
})

const look = Effect.gen(function* () {
  const events = yield* EventStore
  const lastId = yield* events.lastId
  const logged = yield* readLog(0, lastId)
  const rows = yield* readRows
  const inFlux = yield* readLog(lastId, yield* events.lastId)
  const found: Array<Disagreement> = []
  for (const [key, { isStored, name, tenantId }] of logged) {
    if (isStored === rows.has(key) || inFlux.has(key)) continue
    const detail = isStored
      ? "was stored and never revoked, but is not there"
      : "was revoked, but is there"
    found.push({ tenantId, detail: `the secret ${name} ${detail}` })
  }
  for (const [key, { name, tenant_id: tenantId }] of rows) {
    if (logged.has(key) || inFlux.has(key)) continue
    found.push({ tenantId, detail: `the secret ${name} is there, but was never stored` })
  }
  return found
})

/**
 * Reads the whole log. What is stored or revoked meanwhile is nobody's disagreement: rows may be on
 * disk a moment before the log says so here, therefore what disagrees is looked at twice.
 */
export const compareSecretsWithLog = Effect.gen(function* () {
  const first = yield* look
  if (first.length === 0) return first
  yield* Effect.repeat(Effect.yieldNow, { times: turnsBetweenLooks })
  const details = new Set(first.map(keyOfDisagreement))
  return (yield* look).filter((one) => details.has(keyOfDisagreement(one)))
})
