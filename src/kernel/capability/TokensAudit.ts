/**
 * Compares tokens in all three places: rows on disk, the index in memory, and, when everything is
 * looked at, the log. What was granted, revoked or expired meanwhile is nobody's inconsistency.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

import { type Capability, isExpired, type TokenHash } from "../../domain/Capability.ts"
import type { Event, EventOf } from "../../domain/Event.ts"
import type { TenantId } from "../../domain/Identifier.ts"
import type { Inconsistency } from "../../domain/VerificationReport.ts"
import { EventStore } from "../log/EventStore.ts"
import { VerifierChecks } from "../recovery/Verifier.ts"
import { CapabilityManager } from "./CapabilityManager.ts"
import { fromTokenRow } from "./TokenRow.ts"

/** Rows, tokens in memory, or events read before others get their turn. */
const perStep = 1000

/** How often what looks wrong is looked at again: a change may be on its way to memory. */
const looks = 3

/** How long to wait before another look, in turns of the event loop. */
const turnsBetweenLooks = 20

const advice =
  "Tokens on disk, in memory and in the log disagree: find out who changed the database, revoke the tokens named, grant new ones, and restart the kernel."

type Granted = EventOf<"capability_granted">

/** What the log says of tokens up to some event. */
interface Logged {
  readonly granted: Map<string, Granted>
  readonly revoked: Set<string>
}

const tokenEvents = ["capability_granted", "capability_revoked"] as const

const add = (logged: Logged, event: Event): void => {
  if (event.type === "capability_granted") logged.granted.set(event.payload.tokenHash, event)
  if (event.type === "capability_revoked") logged.revoked.add(event.payload.tokenHash)
}

/** Whether a token, or one it descends from, was revoked. The set of those seen ends a cycle. */
const isRevoked = (logged: Logged, tokenHash: string): boolean => {
  const seen = new Set<string>()
  let next: string | null = tokenHash
  while (next !== null && !seen.has(next)) {
    if (logged.revoked.has(next)) return true
    seen.add(next)
    next = logged.granted.get(next)?.payload.parent ?? null
  }
  return false
}

const readRows = Effect.gen(function* () {
  const sql = yield* SqlClient
  const rows = new Map<string, Capability | undefined>()
  let after = ""
  while (true) {
    const page: ReadonlyArray<{ readonly token_hash: string }> = yield* sql<{
      readonly token_hash: string
    }>`SELECT * FROM tokens WHERE token_hash > ${after} ORDER BY token_hash LIMIT ${perStep}`
    for (const row of page) {
      rows.set(row.token_hash, Result.getOrUndefined(fromTokenRow(row)))
    }
    if (page.length < perStep) return rows
    after = page.at(-1)!.token_hash
    yield* Effect.yieldNow
  }
})

const readMemory = Effect.gen(function* () {
  const manager = yield* CapabilityManager
  const tokens = new Map<string, { readonly capability: Capability; readonly durable: boolean }>()
  for (const tenantId of yield* manager.tenants) {
    let after: TokenHash | undefined
    do {
      const page = yield* manager.list(tenantId, { after, limit: perStep })
      for (const view of page) tokens.set(view.capability.tokenHash, view)
      after = page.length < perStep ? undefined : page.at(-1)!.capability.tokenHash
      yield* Effect.yieldNow
    } while (after !== undefined)
  }
  return tokens
})

const readLog = Effect.fnUntraced(function* (logged: Logged, sinceId: number, untilId: number) {
  const events = yield* EventStore
  yield* Stream.runForEachArray(events.stream({ types: tokenEvents, sinceId, untilId }), (some) => {
    for (const event of some) add(logged, event)
    return Effect.yieldNow
  })
})

/** Something about one token that is not as it must be. */
interface Suspicion {
  readonly tokenHash: string
  readonly tenantId: TenantId | null
  readonly detail: string
}

const isSameList = (left: ReadonlyArray<string>, right: ReadonlyArray<string>): boolean =>
  JSON.stringify(left.toSorted()) === JSON.stringify(right.toSorted())

/** In what a row is not what was granted. */
const difference = (row: Capability, { payload, serviceId, tenantId }: Granted) => {
  const expiresAt = payload.expiresAt === null ? null : Date.parse(payload.expiresAt)
  if (row.tenantId !== tenantId) return "tenant"
  if (row.serviceId !== serviceId) return "service"
  if (!isSameList(row.permissions, payload.permissions)) return "permissions"
  if (row.expiresAt !== expiresAt) return "time"
  if (row.parent !== payload.parent) return "parent"
  return JSON.stringify(row.rateLimit) === JSON.stringify(payload.rateLimit) ? undefined : "rate"
}

const compareWithLog = (
  rows: ReadonlyMap<string, Capability | undefined>,
  logged: Logged,
  now: number,
): ReadonlyArray<Suspicion> => {
  const found: Array<Suspicion> = []
  for (const [tokenHash, row] of rows) {
    const event = logged.granted.get(tokenHash)
    const tenantId = row?.tenantId ?? null
    const suspect = (detail: string) => void found.push({ tokenHash, tenantId, detail })
    if (event === undefined) suspect("has a row, but was never granted")
    else if (isRevoked(logged, tokenHash)) suspect("has a row, but was revoked")
    else if (row !== undefined) {
      const other = difference(row, event)
      if (other !== undefined) suspect(`has another ${other} in its row than was granted`)
    }
  }
  for (const [tokenHash, { payload, tenantId }] of logged.granted) {
    const expired = payload.expiresAt !== null && Date.parse(payload.expiresAt) <= now
    if (rows.has(tokenHash) || expired || isRevoked(logged, tokenHash)) continue
    found.push({ tokenHash, tenantId, detail: "was granted and is still good, but has no row" })
  }
  return found
}

const compareWithMemory = (
  rows: ReadonlyMap<string, Capability | undefined>,
  memory: Effect.Success<typeof readMemory>,
  now: number,
): ReadonlyArray<Suspicion> => {
  const found: Array<Suspicion> = []
  for (const [tokenHash, row] of rows) {
    if (row === undefined) {
      found.push({ tokenHash, tenantId: null, detail: "has a row that cannot be read" })
    } else if (!isExpired(row, now) && !memory.has(tokenHash)) {
      const { tenantId } = row
      found.push({ tokenHash, tenantId, detail: "has a row, but is not known in memory" })
    }
  }
  for (const [tokenHash, { capability, durable }] of memory) {
    if (!durable || rows.has(tokenHash)) continue
    const { tenantId } = capability
    found.push({ tokenHash, tenantId, detail: "is good in memory as stored, but has no row" })
  }
  return found
}

const look = Effect.fnUntraced(function* (full: boolean) {
  const events = yield* EventStore
  const logged: Logged = { granted: new Map(), revoked: new Set() }
  const lastId = yield* events.lastId
  if (full) yield* readLog(logged, 0, lastId)
  const rows = yield* readRows
  const memory = yield* readMemory
  // By the clock that they expire by: the machine's may have been set back.
  const now = yield* CapabilityManager.use((manager) => manager.now)
  // What the log says since then is about tokens that were in flux while they were looked at.
  const later: Logged = { granted: new Map(logged.granted), revoked: new Set() }
  yield* readLog(later, lastId, yield* events.lastId)
  const inFlux = ({ tokenHash }: Suspicion) =>
    isRevoked(later, tokenHash) || (later.granted.has(tokenHash) && !logged.granted.has(tokenHash))
  const suspicions = [
    ...(full ? compareWithLog(rows, logged, now) : []),
    ...compareWithMemory(rows, memory, now),
  ]
  return {
    suspicions: suspicions.filter((one) => !inFlux(one)),
    figures: { rows: rows.size, inMemory: memory.size, granted: logged.granted.size },
  }
})

const keyOf = ({ detail, tokenHash }: Suspicion): string => `${tokenHash} ${detail}`

const verify = Effect.fnUntraced(function* (full: boolean) {
  let { figures, suspicions } = yield* look(full)
  for (let again = 1; again < looks && suspicions.length > 0; again++) {
    yield* Effect.repeat(Effect.yieldNow, { times: turnsBetweenLooks })
    const next = yield* look(full)
    const before = new Set(suspicions.map(keyOf))
    suspicions = next.suspicions.filter((one) => before.has(keyOf(one)))
    figures = next.figures
  }
  const inconsistencies = suspicions.map(({ detail, tenantId, tokenHash }): Inconsistency => ({
    invariant: "tokens_agree",
    promise: 2,
    severity: "error",
    tenantId,
    serviceId: null,
    eventId: null,
    detail: `the token ${tokenHash.slice(0, 64)} ${detail}`,
    // Whether a row was forged or an event lost is for people to decide.
    fixable: false,
  }))
  return { figures, inconsistencies, recommendations: suspicions.length === 0 ? [] : [advice] }
})

/** Registers the check `tokens`. */
export const layerTokensAudit = Layer.effectDiscard(
  Effect.gen(function* () {
    const checks = yield* VerifierChecks
    const context = yield* Effect.context<CapabilityManager | EventStore | SqlClient>()
    checks.add({
      name: "tokens",
      verify: ({ full }) => Effect.provideContext(verify(full), context),
    })
  }),
)
