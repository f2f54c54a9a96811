/**
 * The names of a tenant's secrets, in order, a page at a time. A row that is no secret, which only
 * damage leaves, is left out: it costs itself, not the list. The verifier reports it.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import type { TenantId } from "../../domain/Identifier.ts"
import { SecretName, type SecretView } from "../../domain/Secret.ts"

/** The last millisecond that a date can be. */
const maxTime = 8_640_000_000_000_000

interface Row {
  readonly name: string
  readonly stored_at: number
}

const isSecretName = Schema.is(SecretName)

const toView = ({ name, stored_at: storedAt }: Row): ReadonlyArray<SecretView> =>
  isSecretName(name) && Math.abs(storedAt) <= maxTime ? [{ name, storedAt }] : []

/** At most `limit` secrets whose names come after `after`. */
export const listSecrets = (
  tenantId: TenantId,
  after: string,
  limit: number,
): Effect.Effect<ReadonlyArray<SecretView>, SqlError, SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient
    const rows = yield* sql<Row>`
      SELECT name, stored_at FROM secrets WHERE tenant_id = ${tenantId} AND name > ${after}
      ORDER BY name LIMIT ${limit}`
    const views = rows.flatMap(toView)
    if (rows.length < limit || views.length === limit) return views
    return [...views, ...(yield* listSecrets(tenantId, rows.at(-1)!.name, limit - views.length))]
  })
