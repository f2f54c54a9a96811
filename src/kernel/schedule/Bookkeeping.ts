/**
 * Keeps the calendar in step with what should run: fills it at the start, with the accounts that are
 * on disk, and follows the log from there on. Accounts of what was killed are forgotten: the next
 * life of a service begins anew (promise 2).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

import type { Event } from "../../domain/Event.ts"
import { serviceKey, type ServiceName } from "../../domain/Identifier.ts"
import { type Deployed, factOf, factTypes, shouldRun } from "../../domain/State.ts"
import { openAccount, takeOver } from "../../domain/Turn.ts"
import { EventStore } from "../log/EventStore.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import { type Calendar, reasons } from "./Calendar.ts"
import { makeScheduleStore } from "./ScheduleStore.ts"

/** How long to wait before the log is followed again, in milliseconds. */
const retryMs = 1000

interface Change {
  readonly name: ServiceName
  readonly wasKilled: boolean
}

/** Puts everything that should run into the calendar, with the accounts that there are. */
const makeFill = Effect.map(makeScheduleStore, (store) =>
  Effect.fnUntraced(function* (calendar: Calendar, facts: ReadonlyArray<Deployed>) {
    const now = yield* Clock.currentTimeMillis
    const loaded = yield* Effect.result(store.load)
    const accounts = loaded._tag === "Success" ? loaded.success.accounts : []
    const lost = loaded._tag === "Failure" ? 1 : loaded.success.unreadable
    if (lost > 0) yield* Effect.logWarning("accounts of schedules were lost: they begin anew")
    const keyOf = (name: ServiceName, cron: string): string => `${serviceKey(name)} ${cron}`
    const byKey = new Map(accounts.map((kept) => [keyOf(kept.name, kept.cron), kept]))
    for (const fact of facts) {
      const deployedAt = Date.parse(fact.deployedAt)
      calendar.set(fact.name, fact, (cron) => {
        const kept = byKey.get(keyOf(fact.name, cron))
        byKey.delete(keyOf(fact.name, cron))
        if (kept !== undefined) return takeOver(kept.account)
        // Without its account a due time may have run already: then none before now may.
        return openAccount(lost > 0 ? Math.max(now, deployedAt) : deployedAt)
      })
    }
    for (const entry of calendar.all()) entry.why = reasons.down
    for (const { cron, name } of byKey.values()) yield* Effect.ignore(store.forget(name, [cron]))
  }),
)

/** Hears of changes to what should run, and remembers those that concern the calendar. */
const makeChanges = Effect.fnUntraced(function* (calendar: Calendar, wake: Queue.Queue<void>) {
  const events = yield* EventStore
  const changes = new Map<string, Change>()
  let seenId = yield* events.lastId

  const note = (event: Event): void => {
    seenId = event.id
    const { serviceId, tenantId } = event
    if (tenantId === null || serviceId === null) return
    const name = { tenantId, serviceId }
    const key = serviceKey(name)
    const known = changes.get(key)
    const isKilled = event.type === "service_killed"
    const isOfNoConcern =
      isKilled || (event.type === "service_deployed" && event.payload.spec.crons.length === 0)
    if (isOfNoConcern && known === undefined && calendar.of(name).length === 0) return
    changes.set(key, { name, wasKilled: isKilled || known?.wasKilled === true })
    Queue.offerUnsafe(wake, undefined)
  }

  const follow = Effect.suspend(() =>
    events
      .subscribe({ types: factTypes, sinceId: seenId })
      .pipe(Stream.runForEach((event) => Effect.sync(() => note(event)))),
  ).pipe(
    Effect.catch(({ message }) =>
      Effect.logWarning(`schedules cannot follow the log: ${message}`).pipe(
        Effect.andThen(Effect.sleep(retryMs)),
      ),
    ),
    Effect.forever,
  )
  return { changes, follow }
})

/** @see the head of this file */
export const makeBookkeeping = Effect.fnUntraced(function* (
  calendar: Calendar,
  wake: Queue.Queue<void>,
) {
  const desired = yield* DesiredState
  const store = yield* makeScheduleStore
  const fill = yield* makeFill
  const { changes, follow } = yield* makeChanges(calendar, wake)

  const carryOut = Effect.fnUntraced(function* ({ name, wasKilled }: Change) {
    if (wasKilled) {
      calendar.set(name, undefined)
      yield* store.forget(name)
    }
    const fact = factOf(yield* desired.current, name)
    const gone = calendar.set(name, fact?._tag === "Deployed" ? fact : undefined)
    const crons = gone.map(({ cron }) => cron)
    if (crons.length > 0) yield* store.forget(name, crons)
  })

  /** What failed is tried again, together with what came meanwhile. */
  const attempt = (key: string, change: Change) =>
    Effect.suspend(() => {
      changes.delete(key)
      return Effect.tapError(carryOut(change), () =>
        Effect.sync(() => {
          const wasKilled = change.wasKilled || changes.get(key)?.wasKilled === true
          changes.set(key, { ...change, wasKilled })
        }),
      )
    })

  return {
    /** Returns when the calendar holds what should run. */
    boot: Effect.flatMap(desired.get, (state) => fill(calendar, shouldRun(state))),
    /** Hears of every change; never returns. */
    followChanges: follow,
    /** Carries out the changes heard of so far. */
    reconcile: Effect.suspend(() =>
      Effect.forEach([...changes], ([key, change]) => attempt(key, change), { discard: true }),
    ),
  }
})
