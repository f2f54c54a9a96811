/**
 * The scheduler at work: one fiber for all services. An account is on disk before its due time's
 * run begins, so no crash and no clock can make one run twice; what an account shows as missed or
 * cut off is told once, with the event that takes it off the account (promises 1, 3 and 4).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { draft } from "../../domain/Event.ts"
import { serviceKey } from "../../domain/Identifier.ts"
import { factOf } from "../../domain/State.ts"
import { nextDue, timetableOf } from "../../domain/Timetable.ts"
import { maxLateMs } from "../../domain/Turn.ts"
import { withDeadline } from "../Deadline.ts"
import { isRefusal } from "../log/Attachment.ts"
import { EventStore } from "../log/EventStore.ts"
import { makeRecorder } from "../log/Recorder.ts"
import { Readiness } from "../Readiness.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import { Registry } from "../services/Registry.ts"
import { NotRunning } from "../services/Runtime.ts"
import { makeBookkeeping } from "./Bookkeeping.ts"
import {
  Calendar,
  childOf,
  type Entry,
  keptOf,
  reasons,
  soonMs,
  type Task,
  tellEveryMs,
} from "./Calendar.ts"
import { Scheduler, type ScheduleView } from "./Scheduler.ts"
import { makeScheduleStore } from "./ScheduleStore.ts"

/** How long to wait when the database took nothing, in milliseconds. */
const retryMs = 1000

/** Failures of one service that are recorded in a minute. */
const maxFailuresRecorded = 6

/** Missed due times told at the same time. */
const tellConcurrency = 64

/** How long runs may take to be heard of at the end, and their accounts to be written. */
const lastWordMs = 500

const iso = (time: number): string => DateTime.formatIso(DateTime.makeUnsafe(time))

const make = Effect.gen(function* () {
  const desired = yield* DesiredState
  const readiness = yield* Readiness
  const registry = yield* Registry
  const calendar = new Calendar()
  const wake = yield* Queue.sliding<void>(1)
  const isStopping = () => SubscriptionRef.getUnsafe(readiness).status === "stopping"

  const { boot, followChanges, reconcile } = yield* makeBookkeeping(calendar, wake)
  const { run, runs } = yield* makeRunner(wake, isStopping)
  const { save, tell } = yield* makeWriter(calendar)

  let failing = false

  /** Looks once at everything; how long nothing is to be done, in milliseconds. */
  const look = Effect.gen(function* () {
    yield* reconcile
    const now = yield* Clock.currentTimeMillis
    const { sleepMs, tasks } = isStopping()
      ? { sleepMs: Infinity, tasks: [] }
      : calendar.tasks(now, registry)
    // From the claim to the run nothing may interrupt: it would be a run that nobody began.
    yield* Effect.uninterruptible(
      Effect.gen(function* () {
        yield* save(tasks)
        for (const task of tasks) {
          calendar.settle(task)
          if (task.turn._tag === "Run") yield* run(task)
        }
      }),
    )
    yield* tell(now)
    return tasks.length > 0 ? 0 : sleepMs
  }).pipe(
    Effect.tap(() => Effect.sync(() => (failing = false))),
    Effect.catch(({ message }) => {
      const isNew = !failing
      failing = true
      return Effect.as(
        isNew ? Effect.logWarning(`no schedule goes on now: ${message}`) : Effect.void,
        retryMs,
      )
    }),
  )

  const work = Effect.gen(function* () {
    yield* boot
    yield* SubscriptionRef.changes(readiness).pipe(
      Stream.takeUntil(({ status }) => status !== "recovering"),
      Stream.runDrain,
    )
    for (let isFirst = true; ; isFirst = false) {
      const sleepMs = yield* look
      if (isFirst) for (const entry of calendar.all()) entry.why = reasons.late
      if (sleepMs === Infinity) yield* Queue.take(wake)
      else if (sleepMs > 0) yield* Effect.timeoutOption(Queue.take(wake), sleepMs)
    }
  })
  const last = Effect.andThen(FiberSet.awaitEmpty(runs), Effect.ignore(save([])))
  yield* Effect.addFinalizer(() => withDeadline(lastWordMs, last))
  yield* Effect.forkScoped(followChanges)
  yield* Effect.forkScoped(work)

  return Scheduler.of({
    schedulesOf: Effect.fnUntraced(function* (name) {
      const fact = factOf(yield* desired.get, name)
      const now = yield* Clock.currentTimeMillis
      const entries = new Map(calendar.of(name).map((entry) => [entry.cron, entry]))
      const crons = fact?._tag === "Deployed" ? fact.spec.crons : []
      return crons.map((cron) => viewOf(cron, entries.get(cron), now))
    }),
  })
})

/** An expression, with its entry if the calendar has heard of it by now. */
const viewOf = (cron: string, entry: Entry | undefined, now: number): ScheduleView => {
  const table = timetableOf(cron)
  const first = Result.isSuccess(table) ? nextDue(table.success, now) : Infinity
  const due = entry?.due ?? first
  return {
    cron,
    nextAt: due === Infinity ? null : iso(due),
    lastAt: entry === undefined || entry.account.runAt === null ? null : iso(entry.account.runAt),
    lastOutcome: entry?.account.outcome ?? null,
  }
}

/** Calls services, and keeps in mind how that went. */
const makeRunner = Effect.fnUntraced(function* (
  wake: Queue.Queue<void>,
  isStopping: () => boolean,
) {
  const desired = yield* DesiredState
  const registry = yield* Registry
  const failures = yield* makeRecorder(maxFailuresRecorded)
  const runs = yield* FiberSet.make<void>()

  const callOnce = (entry: Entry) => {
    const child = childOf(registry, entry)
    const instance = child?.instance
    const timeoutMs = child?.spec.limits.requestTimeoutMs ?? 0
    if (instance === undefined) {
      return Effect.fail(new NotRunning({ message: "it ended just now", undelivered: true }))
    }
    return Effect.timeoutOrElse(
      instance.scheduled({ cron: entry.cron, scheduledTime: entry.account.reached }),
      {
        duration: timeoutMs,
        orElse: () =>
          Effect.fail({
            message: `it did not end within ${timeoutMs} ms (limits.requestTimeoutMs)`,
          }),
      },
    )
  }

  /** Calls the service. One that ended between the claim and the call is waited for. */
  const call = (entry: Entry) =>
    Effect.retry(
      Effect.suspend(() => callOnce(entry)),
      {
        while: (error) =>
          error instanceof NotRunning &&
          error.undelivered === true &&
          !entry.isGone &&
          !isStopping(),
        schedule: Schedule.spaced(soonMs),
        times: maxLateMs / soonMs,
      },
    )

  const recordFailure = ({ cron, name }: Entry, dueAt: number, reason: string): void =>
    failures.record(serviceKey(name), (unrecorded) =>
      draft("schedule_failed", { cron, dueAt: iso(dueAt), reason, unrecorded }, name),
    )

  const runTask = Effect.fnUntraced(function* ({ entry }: Task) {
    const dueAt = entry.account.reached
    const result = yield* call(entry).pipe(
      Effect.catchDefect((defect) =>
        Effect.andThen(
          Effect.logError("the runtime driver failed", Cause.die(defect)),
          Effect.fail({ message: "the runtime driver failed; see the kernel's log" }),
        ),
      ),
      Effect.result,
    )
    const fact = factOf(yield* desired.get, entry.name)
    entry.isRunning = false
    if (entry.due <= (yield* Clock.currentTimeMillis)) entry.why = reasons.busy
    // A run that the kernel's or the service's own end cut off is left as it is in the account.
    if (result._tag === "Failure" && (isStopping() || fact?._tag !== "Deployed")) return
    const outcome = result._tag === "Success" ? "succeeded" : "failed"
    entry.account = { ...entry.account, outcome }
    if (result._tag === "Failure") recordFailure(entry, dueAt, result.failure.message)
    yield* Queue.offer(wake, undefined)
  })

  return { runs, run: (task: Task) => FiberSet.run(runs, runTask(task)) }
})

/** Writes accounts, and tells of what they show as missed. */
const makeWriter = Effect.fnUntraced(function* (calendar: Calendar) {
  const events = yield* EventStore
  const store = yield* makeScheduleStore

  const tellOne = Effect.fnUntraced(function* (entry: Entry, now: number) {
    const before = entry.account
    const { count, from, until, why } = before.missed!
    entry.toldAt = now
    const payload = {
      cron: entry.cron,
      dueAt: iso(from),
      lastDueAt: iso(until),
      count,
      reason: why,
    }
    yield* events
      .append([draft("schedule_missed", payload, entry.name)], store.told(keptOf(entry, before)))
      .pipe(Effect.catchIf(isRefusal, () => Effect.void))
    const isSaved = entry.saved === entry.account
    entry.account = { ...entry.account, missed: null }
    if (isSaved) entry.saved = entry.account
  })

  return {
    /** Makes the accounts of `tasks` durable, and those that runs have changed. */
    save: Effect.fnUntraced(function* (tasks: ReadonlyArray<Task>) {
      const claimed = new Set(tasks.map(({ entry }) => entry))
      const changed = [...calendar.all()]
        .filter((entry) => entry.saved !== entry.account && !claimed.has(entry))
        .map((entry) => [entry, entry.account] as const)
      const accounts = [
        ...tasks.map(({ entry, turn }) => keptOf(entry, turn.account)),
        ...changed.map(([entry, account]) => keptOf(entry, account)),
      ]
      if (accounts.length === 0) return
      yield* store.save(accounts)
      for (const [entry, account] of changed) entry.saved = account
    }),
    /** Tells of missed due times that are on disk, not too often. */
    tell: Effect.fnUntraced(function* (now: number) {
      const due = [...calendar.all()].filter(
        ({ account, saved, toldAt }) =>
          account.missed !== null &&
          saved?.missed === account.missed &&
          Math.abs(now - toldAt) >= tellEveryMs,
      )
      yield* Effect.forEach(due, (entry) => tellOne(entry, now), {
        concurrency: tellConcurrency,
        discard: true,
      })
    }),
  }
})

/** The scheduler. Closing it begins no more runs; what still runs ends with its service. */
export const layerScheduler = Layer.effect(Scheduler, make)
