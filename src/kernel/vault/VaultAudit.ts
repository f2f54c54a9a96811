/**
 * Checks that the vault can be opened: every secret has a data key, every data key a master key,
 * and, when everything is looked at, every secret opens and is one that the log knows. It tells no
 * value, and records no reading.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"

import { TenantId } from "../../domain/Identifier.ts"
import { SecretName } from "../../domain/Secret.ts"
import type { EventStore } from "../log/EventStore.ts"
import { type Finding, VerifierChecks } from "../recovery/Verifier.ts"
import { Vault } from "./Vault.ts"
import { compareSecretsWithLog } from "./VaultLogAudit.ts"

/** Secrets opened before others get their turn. */
const perStep = 100

const advice =
  "Part of the vault does not open: store the secrets named again, or restore a backup, and find out who changed the database."

/** Characters of a damaged name that a finding repeats. */
const maxShownName = 200

const SecretKey = Schema.Struct({ tenant_id: TenantId, name: SecretName })
type SecretKey = typeof SecretKey.Encoded

const decodeKey = Schema.decodeUnknownResult(SecretKey)

const lostAdvice =
  "Secrets on disk and the log disagree: find out who changed the database, then store or revoke the secrets named again, or restore a backup."

const inconsistency = (
  invariant: "vault_opens" | "vault_agrees",
  tenantId: string,
  detail: string,
): Finding => ({
  invariant,
  promise: invariant === "vault_opens" ? 1 : 2,
  severity: "error",
  tenantId,
  serviceId: null,
  eventId: null,
  detail,
  fixable: false,
})

const damaged = (tenantId: string, detail: string): Finding =>
  inconsistency("vault_opens", tenantId, detail)

/** What lacks the key that seals it. */
const checkKeys = Effect.gen(function* () {
  const sql = yield* SqlClient
  const secrets = yield* sql<SecretKey>`
    SELECT DISTINCT tenant_id FROM secrets
    WHERE tenant_id NOT IN (SELECT tenant_id FROM vault_data_keys)`
  const dataKeys = yield* sql<SecretKey>`
    SELECT tenant_id FROM vault_data_keys
    WHERE key_id NOT IN (SELECT key_id FROM vault_master_keys)`
  return [
    ...secrets.map(({ tenant_id: tenantId }) => damaged(tenantId, "its data key is missing")),
    ...dataKeys.map(({ tenant_id: tenantId }) =>
      damaged(tenantId, "its data key is wrapped by a master key that is missing"),
    ),
  ]
})

/** Opens every secret; one that is revoked meanwhile is none. */
const openAll = Effect.gen(function* () {
  const sql = yield* SqlClient
  const vault = yield* Vault
  const inconsistencies: Array<Finding> = []
  let last: SecretKey = { tenant_id: "", name: "" }
  while (true) {
    const page: ReadonlyArray<SecretKey> = yield* sql<SecretKey>`
      SELECT tenant_id, name FROM secrets
      WHERE (tenant_id, name) > (${last.tenant_id}, ${last.name})
      ORDER BY tenant_id, name LIMIT ${perStep}`
    for (const row of page) {
      const key = decodeKey(row)
      if (Result.isFailure(key)) {
        const shown = row.name.slice(0, maxShownName)
        inconsistencies.push(
          damaged(row.tenant_id, `the row of the secret ${shown} cannot be read`),
        )
        continue
      }
      const { name, tenant_id: tenantId } = key.success
      yield* vault.check(tenantId, name).pipe(
        Effect.catchTags({
          SecretNotFound: () => Effect.void,
          SecretDamaged: (error) =>
            Effect.sync(() => void inconsistencies.push(damaged(tenantId, error.message))),
        }),
      )
    }
    if (page.length < perStep) return inconsistencies
    last = page.at(-1)!
    yield* Effect.yieldNow
  }
})

const verify = Effect.fnUntraced(function* (full: boolean) {
  const sql = yield* SqlClient
  const [count] = yield* sql<{ readonly secrets: number; readonly dataKeys: number }>`
    SELECT (SELECT count(*) FROM secrets) AS secrets,
      (SELECT count(*) FROM vault_data_keys) AS dataKeys`
  const closed = [...(yield* checkKeys), ...(full ? yield* openAll : [])]
  const disagreeing = full ? yield* compareSecretsWithLog : []
  return {
    figures: { ...count! },
    inconsistencies: [
      ...closed,
      ...disagreeing.map(({ detail, tenantId }) => inconsistency("vault_agrees", tenantId, detail)),
    ],
    recommendations: [
      ...(closed.length === 0 ? [] : [advice]),
      ...(disagreeing.length === 0 ? [] : [lostAdvice]),
    ],
  }
})

/** Registers the check `vault`. */
export const layerVaultAudit = Layer.effectDiscard(
  Effect.gen(function* () {
    const checks = yield* VerifierChecks
    const context = yield* Effect.context<EventStore | SqlClient | Vault>()
    checks.add({
      name: "vault",
      verify: ({ full }) => Effect.provideContext(verify(full), context),
    })
  }),
)
