/**
 * Reads the table `tokens` back: all that are still good at start-up, and single questions. A row
 * that cannot be used costs itself and what was made from it, with a warning.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"

import type { Capability, TokenHash } from "../../domain/Capability.ts"
import type { TenantId } from "../../domain/Identifier.ts"
import { makeFailed } from "../log/Storage.ts"
import { fromTokenRow, lineage } from "./TokenRow.ts"

/** Rows read at once. */
const pageSize = 1000

/** Unusable rows named one by one in the kernel's log; the rest are counted. */
const maxNamed = 100

const unreadableRows = Metric.counter("solo_token_rows_unreadable_total", {
  description: "Token rows skipped at restoration because they could not be used",
  incremental: true,
})

type Problem = readonly [tokenHash: unknown, reason: string]

/** Every readable row by its hash; the others go to `problems`. */
const readAll = (sql: SqlClient, problems: Array<Problem>) =>
  Effect.gen(function* () {
    const capabilities = new Map<TokenHash, Capability>()
    let after = ""
    while (true) {
      const rows: ReadonlyArray<{ readonly token_hash: string }> = yield* sql<{
        readonly token_hash: string
      }>`SELECT * FROM tokens WHERE token_hash > ${after} ORDER BY token_hash LIMIT ${pageSize}`
      for (const row of rows) {
        const capability = fromTokenRow(row)
        if (Result.isFailure(capability)) problems.push([row.token_hash, capability.failure])
        else capabilities.set(capability.success.tokenHash, capability.success)
      }
      if (rows.length < pageSize) return capabilities
      after = rows.at(-1)!.token_hash
    }
  })

const report = Effect.fnUntraced(function* (problems: ReadonlyArray<Problem>) {
  for (const [tokenHash, reason] of problems.slice(0, maxNamed))
    yield* Effect.logWarning("skipped an unusable token row").pipe(
      Effect.annotateLogs({ tokenHash, reason }),
    )
  yield* Metric.update(unreadableRows, problems.length)
})

/** Makes the reading half of the token store. */
export const makeTokenReader = Effect.gen(function* () {
  const sql = yield* SqlClient
  const failed = yield* makeFailed

  return {
    restoreAllTokens: Effect.fn("TokenStore.restoreAllTokens")(function* (now: number) {
      const problems: Array<Problem> = []
      const capabilities = yield* readAll(sql, problems).pipe(
        Effect.mapError(failed("restore tokens")),
        Effect.catchIf(
          (error) => error.fault === "missing",
          (error) =>
            Effect.logWarning("no tokens could be restored").pipe(
              Effect.annotateLogs({ reason: error.message }),
              Effect.as(new Map<TokenHash, Capability>()),
            ),
        ),
      )
      const { good, expired, orphans } = lineage(capabilities, now)
      problems.push(...orphans)
      yield* report(problems)
      return { tokens: good, expired, unreadable: problems.length }
    }),

    tokenExists: Effect.fn("TokenStore.tokenExists")((tokenHash: TokenHash) =>
      sql`SELECT 1 FROM tokens WHERE token_hash = ${tokenHash}`.pipe(
        Effect.map((rows) => rows.length > 0),
        Effect.mapError(failed("look up a token")),
      ),
    ),

    tokensOf: Effect.fn("TokenStore.tokensOf")(
      (
        tenantId: TenantId,
        { after, limit }: { readonly after?: TokenHash | undefined; readonly limit: number },
      ) =>
        sql<{ readonly token_hash: TokenHash }>`
          SELECT token_hash FROM tokens WHERE tenant_id = ${tenantId} AND token_hash > ${after ?? ""}
          ORDER BY token_hash LIMIT ${limit}`.pipe(
          Effect.map((rows) => rows.map((row) => row.token_hash)),
          Effect.mapError(failed("list tokens")),
        ),
    ),
  }
})
