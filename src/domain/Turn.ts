/**
 * What becomes of the due times of one cron expression: the account of those that had their turn,
 * and the decision about those that have come. Pure, so that every case can be seen and tested at
 * once; writing accounts and calling services is the scheduler's business.
 */
import { countDue, lastDue, type Timetable } from "./Timetable.ts"

/** How late a due time may still be served, in milliseconds. */
export const maxLateMs = 10_000

/** Due times that passed without a run, of which nobody was told yet. */
interface Missed {
  readonly count: number
  /** The first and the last of them, in milliseconds. */
  readonly from: number
  readonly until: number
  readonly why: string
}

/** How a run went. `running` in an account that nobody runs for means that its kernel ended. */
type Outcome = "running" | "succeeded" | "failed" | "interrupted"

/** What is known of one service's cron expression; durable before anything follows from it. */
export interface Account {
  /** Every due time up to this one, in milliseconds, had its turn: it ran, or counts as missed. */
  readonly reached: number
  /** The last due time that ran. */
  readonly runAt: number | null
  readonly outcome: Outcome | null
  readonly missed: Missed | null
}

/** An account before the first due time: nothing up to `time` is due. */
export const openAccount = (time: number): Account => ({
  reached: time,
  runAt: null,
  outcome: null,
  missed: null,
})

/** Whether the service can be called now; `soon` if that is worth waiting for a moment. */
export type Situation =
  | { readonly _tag: "Up" }
  | { readonly _tag: "Soon"; readonly why: string }
  | { readonly _tag: "Down"; readonly why: string }

/** What to do about the due times that have come. */
export type Turn =
  /** Look again in a moment. */
  | { readonly _tag: "Wait" }
  /** Write the account, then call the service for its `reached`. */
  | { readonly _tag: "Run"; readonly account: Account }
  /** Write the account. */
  | { readonly _tag: "Miss"; readonly account: Account }

const maxWhyLength = 256

const joined = (known: string, why: string): string =>
  known.split("; ").includes(why) || known.length + why.length > maxWhyLength
    ? known
    : `${known}; ${why}`

/** The account with `missed` in it too. */
const withMissed = (account: Account, missed: Missed): Account => {
  const known = account.missed
  if (known === null) return { ...account, missed }
  const { count, from, until, why } = missed
  return {
    ...account,
    missed: {
      count: known.count + count,
      from: Math.min(known.from, from),
      until: Math.max(known.until, until),
      why: joined(known.why, why),
    },
  }
}

/** The account after a kernel ended while it held it: a run that it did not see the end of. */
export const takeOver = (account: Account): Account => {
  const { outcome, runAt } = account
  if (outcome !== "running" || runAt === null) return account
  const why = "the kernel ended before the run was known to have ended"
  return withMissed(
    { ...account, outcome: "interrupted" },
    { count: 1, from: runAt, until: runAt, why },
  )
}

/**
 * Decides about the due times after `reached` up to `now`, of which `due` is the first. `why` says
 * why nobody looked at those that are not the last one.
 */
export const decideTurn = (
  table: Timetable,
  account: Account,
  due: number,
  now: number,
  situation: Situation,
  why: string,
): Turn => {
  const last = Math.max(due, lastDue(table, now))
  const isFresh = now - last <= maxLateMs
  if (isFresh && situation._tag === "Soon" && now - due <= maxLateMs) return { _tag: "Wait" }
  const runs = isFresh && situation._tag === "Up"
  const count = countDue(table, account.reached, last) - (runs ? 1 : 0)
  const until = runs ? lastDue(table, last - 1000) : last
  const reason = isFresh && situation._tag !== "Up" ? situation.why : why
  const moved: Account = { ...account, reached: last }
  const counted = count > 0 ? withMissed(moved, { count, from: due, until, why: reason }) : moved
  return runs
    ? { _tag: "Run", account: { ...counted, runAt: last, outcome: "running" } }
    : { _tag: "Miss", account: counted }
}
