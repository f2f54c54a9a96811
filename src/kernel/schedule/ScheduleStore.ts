/**
 * Accounts of due times on disk. It writes what it is given, whole: an account that was written
 * again after a failure is the same account.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

import { ServiceId, type ServiceName, TenantId } from "../../domain/Identifier.ts"
import type { Account } from "../../domain/Turn.ts"
import { refuse } from "../log/Attachment.ts"
import { makeFailed } from "../log/Storage.ts"

/** Rows one INSERT carries at most. */
const maxInsert = 128

const Row = Schema.Struct({
  tenant_id: TenantId,
  service_id: ServiceId,
  cron: Schema.String,
  reached: Schema.Int,
  run_at: Schema.NullOr(Schema.Int),
  outcome: Schema.NullOr(Schema.Literals(["running", "succeeded", "failed", "interrupted"])),
  missed: Schema.Int,
  missed_from: Schema.NullOr(Schema.Int),
  missed_until: Schema.NullOr(Schema.Int),
  missed_why: Schema.String,
})
type Row = typeof Row.Type

const isRow = Schema.is(Row)

/** The account of one service's cron expression. */
export interface Kept {
  readonly name: ServiceName
  readonly cron: string
  readonly account: Account
}

const toRow = ({ account, cron, name }: Kept): Row => ({
  tenant_id: name.tenantId,
  service_id: name.serviceId,
  cron,
  reached: account.reached,
  run_at: account.runAt,
  outcome: account.outcome,
  missed: account.missed?.count ?? 0,
  missed_from: account.missed?.from ?? null,
  missed_until: account.missed?.until ?? null,
  missed_why: account.missed?.why ?? "",
})

const fromRow = (row: Row): Kept => ({
  name: { tenantId: row.tenant_id, serviceId: row.service_id },
  cron: row.cron,
  account: {
    reached: row.reached,
    runAt: row.run_at,
    outcome: row.outcome,
    missed:
      row.missed > 0 && row.missed_from !== null && row.missed_until !== null
        ? {
            count: row.missed,
            from: row.missed_from,
            until: row.missed_until,
            why: row.missed_why,
          }
        : null,
  },
})

/** The accounts in the database. */
export const makeScheduleStore = Effect.gen(function* () {
  const sql = yield* SqlClient
  const failed = yield* makeFailed

  const insert = (rows: ReadonlyArray<Row>) => sql`
    INSERT INTO schedules ${sql.insert(rows as [Row, ...Array<Row>])}
    ON CONFLICT (tenant_id, service_id, cron) DO UPDATE SET
      reached = excluded.reached, run_at = excluded.run_at, outcome = excluded.outcome,
      missed = excluded.missed, missed_from = excluded.missed_from,
      missed_until = excluded.missed_until, missed_why = excluded.missed_why`

  return {
    /** All accounts; rows that are none are left out, and how many that were is said. */
    load: Effect.gen(function* () {
      const rows = yield* sql`SELECT * FROM schedules`
      const readable = rows.filter(isRow)
      return { accounts: readable.map(fromRow), unreadable: rows.length - readable.length }
    }).pipe(Effect.mapError(failed("read schedules"))),

    /** Writes accounts in one transaction; durable when it returns. */
    save: (accounts: ReadonlyArray<Kept>) =>
      Effect.gen(function* () {
        for (let at = 0; at < accounts.length; at += maxInsert)
          yield* insert(accounts.slice(at, at + maxInsert).map(toRow))
      }).pipe(sql.withTransaction, Effect.mapError(failed("write schedules"))),

    /** Forgets the accounts of a service: all, or those of the given cron expressions. */
    forget: ({ serviceId, tenantId }: ServiceName, crons?: ReadonlyArray<string>) =>
      (crons === undefined
        ? sql`DELETE FROM schedules WHERE tenant_id = ${tenantId} AND service_id = ${serviceId}`
        : sql`DELETE FROM schedules WHERE tenant_id = ${tenantId} AND service_id = ${serviceId}
              AND cron IN ${sql.in(crons)}`
      ).pipe(Effect.asVoid, Effect.mapError(failed("forget schedules"))),

    /**
     * Goes with the event that tells of what was missed: the account holds it no more. Refuses
     * where it does not hold just that, as when the event is in the log already.
     */
    told: ({ account, cron, name }: Kept): Effect.Effect<void, SqlError> =>
      Effect.gen(function* () {
        const { count, until } = account.missed!
        const rows = yield* sql`
          UPDATE schedules
          SET missed = 0, missed_from = NULL, missed_until = NULL, missed_why = ''
          WHERE tenant_id = ${name.tenantId} AND service_id = ${name.serviceId}
            AND cron = ${cron} AND missed = ${count} AND missed_until = ${until}
          RETURNING missed`
        if (rows.length === 0) return yield* refuse("it was told already")
      }),
  }
})
