/**
 * The token store on `effect/sql`. Rows are written only through the log's writer, together with
 * their event, so that the two can never disagree (promises 1, 2 and 8).
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"

import type { Capability } from "../../domain/Capability.ts"
import { draft } from "../../domain/Event.ts"
import { isRefusal } from "../log/Attachment.ts"
import { type AppendError, EventStore } from "../log/EventStore.ts"
import { makeFailed } from "../log/Storage.ts"
import { makeTokenReader } from "./TokenReader.ts"
import { toTokenRow } from "./TokenRow.ts"
import { InvalidCapability, ParentGone, type Revocation, TokenStore } from "./TokenStore.ts"

/** Expired rows removed at once. */
const cleanupSize = 1000

const grantedEvent = (capability: Capability) =>
  draft(
    "capability_granted",
    {
      tokenHash: capability.tokenHash,
      permissions: capability.permissions,
      expiresAt:
        capability.expiresAt === null
          ? null
          : DateTime.formatIso(DateTime.makeUnsafe(capability.expiresAt)),
      rateLimit: capability.rateLimit,
      parent: capability.parent,
    },
    {
      tenantId: capability.tenantId,
      actor: capability.grantedBy,
      ...(capability.serviceId === null ? {} : { serviceId: capability.serviceId }),
    },
  )

const make = Effect.gen(function* () {
  const sql = yield* SqlClient
  const events = yield* EventStore
  const failed = yield* makeFailed
  const reader = yield* makeTokenReader

  // The row is there already when an append that seemed to fail reached the disk after all.
  const explainRefusal = Effect.fnUntraced(function* (capability: Capability, error: AppendError) {
    if (yield* reader.tokenExists(capability.tokenHash)) return
    if (capability.parent !== null) return yield* new ParentGone({ parent: capability.parent })
    return yield* error
  })

  return TokenStore.of({
    ...reader,

    storeToken: Effect.fn("TokenStore.storeToken")(function* (capability: Capability) {
      const row = toTokenRow(capability)
      if (Result.isFailure(row)) return yield* new InvalidCapability({ message: row.failure })
      const insert = Effect.asVoid(sql`INSERT INTO tokens ${sql.insert(row.success)}`)
      yield* events
        .append([grantedEvent(capability)], insert)
        .pipe(Effect.catchIf(isRefusal, (error) => explainRefusal(capability, error)))
      yield* Effect.logDebug("stored a token").pipe(
        Effect.annotateLogs({ tokenHash: capability.tokenHash, tenantId: capability.tenantId }),
      )
    }),

    revokeToken: Effect.fn("TokenStore.revokeToken")(function* (revocation: Revocation) {
      const { tokenHash, tenantId, actor, descendants } = revocation
      yield* events.append(
        [draft("capability_revoked", { tokenHash, descendants }, { tenantId, actor })],
        // Descendants go with it: the foreign key cascades.
        Effect.asVoid(sql`DELETE FROM tokens WHERE token_hash = ${tokenHash}`),
      )
    }),

    cleanupExpired: Effect.fn("TokenStore.cleanupExpired")(
      function* (now: number) {
        let removed = 0
        while (true) {
          const rows = yield* sql`
            DELETE FROM tokens WHERE token_hash IN
              (SELECT token_hash FROM tokens WHERE expires_at <= ${now} LIMIT ${cleanupSize})
            RETURNING token_hash`
          removed += rows.length
          if (rows.length < cleanupSize) return removed
        }
      },
      Effect.mapError(failed("clean up tokens")),
    ),

    flush: events.flush,
  })
})

/** The token store on whatever database is behind `SqlClient`. */
export const layerTokenStore = Layer.effect(TokenStore, make)
