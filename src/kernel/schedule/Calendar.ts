/**
 * All cron expressions of all services in memory, with their accounts. It holds what the scheduler
 * works on and answers what is due; nothing here is written or called.
 */
import * as Result from "effect/Result"

import { serviceKey, type ServiceName } from "../../domain/Identifier.ts"
import type { Deployed } from "../../domain/State.ts"
import { nextDue, type Timetable, timetableOf } from "../../domain/Timetable.ts"
import { type Account, decideTurn, maxLateMs, openAccount, type Turn } from "../../domain/Turn.ts"
import type { Child, Registry } from "../services/Registry.ts"
import type { Kept } from "./ScheduleStore.ts"

/** How soon to look again for a service that is about to be up, in milliseconds. */
export const soonMs = 250

/** How often a service's missed due times are told at most, per cron expression, in milliseconds. */
export const tellEveryMs = 60_000

/** Longest sleep, so that a clock that was set is noticed in time, in milliseconds. */
const maxSleepMs = maxLateMs / 2

/** Why due times before the last one passed: the clock, the kernel, or a run that took too long. */
export const reasons = {
  late: "the kernel was late, or the clock was set forward",
  down: "the kernel was not running, or was recovering",
  busy: "the run for an earlier due time had not ended",
} as const

/** One cron expression of one service. */
export interface Entry {
  readonly name: ServiceName
  readonly cron: string
  readonly table: Timetable
  /** The revision whose spec names it. */
  revision: number
  account: Account
  /** The account as it is on disk. */
  saved: Account | undefined
  /** The first due time after the account's. */
  due: number
  isRunning: boolean
  /** The service was killed, or its spec names this no more. */
  isGone: boolean
  why: string
  toldAt: number
}

/** What there is to do about one entry. */
export interface Task {
  readonly entry: Entry
  readonly turn: Exclude<Turn, { readonly _tag: "Wait" }>
}

const makeEntry = (
  { name, revision }: Deployed,
  cron: string,
  account: Account,
): Entry | undefined => {
  const table = timetableOf(cron)
  if (Result.isFailure(table)) return undefined
  return {
    name,
    cron,
    table: table.success,
    revision,
    account,
    saved: undefined,
    due: nextDue(table.success, account.reached),
    isRunning: false,
    isGone: false,
    why: reasons.late,
    toldAt: -Infinity,
  }
}

/**
 * Whom to call: the child whose own spec names the expression. While a swap is not committed, that
 * is not the one that answers requests.
 */
export const childOf = (
  registry: Registry["Service"],
  { name, revision }: Entry,
): Child | undefined => {
  const answering = registry.get(name)
  return [answering, answering?.predecessor].find((child) => child?.revision === revision)
}

const situationOf = (registry: Registry["Service"], entry: Entry) => {
  const child = childOf(registry, entry)
  if (child === undefined) {
    return registry.get(entry.name) === undefined
      ? ({ _tag: "Down", why: "the service was not there" } as const)
      : ({ _tag: "Soon", why: "another revision of the service was there" } as const)
  }
  const { instance, status } = child
  if (status === "running" && instance !== undefined) return { _tag: "Up" } as const
  const why = `the service was ${status}`
  return status === "failed" || status === "stopped"
    ? ({ _tag: "Down", why } as const)
    : ({ _tag: "Soon", why } as const)
}

/** What an entry is on disk, once `account` is written. */
export const keptOf = ({ cron, name }: Entry, account: Account): Kept => ({ name, cron, account })

/** The entries. All methods are synchronous. */
export class Calendar {
  readonly #byService = new Map<string, ReadonlyArray<Entry>>()

  /** The entries of a service, in the order of its spec. */
  of(name: ServiceName): ReadonlyArray<Entry> {
    return this.#byService.get(serviceKey(name)) ?? []
  }

  /** All entries. */
  *all(): Generator<Entry> {
    for (const entries of this.#byService.values()) yield* entries
  }

  /** Makes a service's entries those of `fact`; the result are those that went. */
  set(
    name: ServiceName,
    fact: Deployed | undefined,
    accountOf: (cron: string) => Account = () => openAccount(Date.parse(fact!.deployedAt)),
  ): ReadonlyArray<Entry> {
    const known = this.of(name)
    const crons = fact?.spec.crons ?? []
    const entries = crons
      .map(
        (cron) =>
          known.find((entry) => entry.cron === cron) ?? makeEntry(fact!, cron, accountOf(cron)),
      )
      .filter((entry) => entry !== undefined)
    for (const entry of entries) entry.revision = fact!.revision
    const gone = known.filter((entry) => !entries.includes(entry))
    for (const entry of gone) entry.isGone = true
    if (entries.length === 0) this.#byService.delete(serviceKey(name))
    else this.#byService.set(serviceKey(name), entries)
    return gone
  }

  /** What is due at `now`, and how long nothing more is, in milliseconds. */
  tasks(now: number, registry: Registry["Service"]) {
    const tasks: Array<Task> = []
    let sleepMs = this.#byService.size === 0 ? Infinity : maxSleepMs
    for (const entry of this.all()) {
      const { account, due, isRunning, table, toldAt, why } = entry
      if (account.missed !== null)
        sleepMs = Math.min(sleepMs, Math.max(1, toldAt + tellEveryMs - now))
      if (isRunning) continue
      if (due > now) {
        sleepMs = Math.min(sleepMs, due - now)
        continue
      }
      const situation = situationOf(registry, entry)
      const turn = decideTurn(table, account, due, now, situation, why)
      if (turn._tag === "Wait") sleepMs = Math.min(sleepMs, soonMs)
      else tasks.push({ entry, turn })
    }
    return { tasks, sleepMs }
  }

  /** Carries out a task whose account is on disk. */
  settle({ entry, turn }: Task): void {
    entry.account = entry.saved = turn.account
    entry.due = nextDue(entry.table, turn.account.reached)
    entry.isRunning = turn._tag === "Run"
    entry.why = reasons.late
  }
}
