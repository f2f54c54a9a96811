/**
 * The logs of services at work: a short tail of each in memory, which followers live on, and a
 * fiber that brings lines to the store a moment after they were written. A store that fails costs
 * lines, and only lines (promise 4).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

import { serviceKey, type ServiceName } from "../../domain/Identifier.ts"
import { withDeadline } from "../Deadline.ts"
import { ServiceNotFound } from "./Deployer.ts"
import {
  type KeptLine,
  type LogFilter,
  LogStore,
  type LogStoreFailed,
  maxLinesRead,
  passes,
} from "./LogStore.ts"
import { add, type LogTail, makeLogTail, trim, waitingIn } from "./LogTail.ts"
import type { ServiceLogLine } from "./Runtime.ts"
import { ServiceLogs } from "./ServiceLogs.ts"

/** How long lines wait for others before they are stored together, in milliseconds. */
const storeEveryMs = 200

/** How long the store is left alone after it failed, in milliseconds. */
const retryAfterMs = 5000

/** Services whose lines are stored at the same time. */
const storeConcurrency = 8

/** How long the last lines of all services may take at the end, in milliseconds. */
const lastLinesMs = 2000

/** Lines a follower reads at once. */
const followPage = 500

type Logs = Map<string, LogTail>

/** Says once, until something works again, what does not. */
const makeAlarm = () => {
  let isOn = false
  return {
    isOn: () => isOn,
    off: () => void (isOn = false),
    warn: (what: string, { message }: LogStoreFailed) =>
      Effect.suspend(() => {
        if (isOn) return Effect.void
        isOn = true
        return Effect.logWarning(`${what}: ${message}`)
      }),
  }
}

type Alarm = ReturnType<typeof makeAlarm>

/** Starts what brings lines to the store; the result says that a log has new ones. */
const makeKeeper = Effect.fnUntraced(function* (logs: Logs, alarm: Alarm) {
  const store = yield* LogStore
  const dirty = new Set<LogTail>()
  const wake = yield* Queue.sliding<void>(1)

  const stored = (log: LogTail, lastId: number) => {
    const key = serviceKey(log.name)
    alarm.off()
    log.storedId = lastId
    trim(log)
    if (!log.isOpen && logs.get(key) === log) logs.delete(key)
  }
  const keep = (log: LogTail): Effect.Effect<void> =>
    Effect.suspend(() => {
      dirty.delete(log)
      const lines = waitingIn(log)
      if (lines.length === 0) return Effect.void
      return store.append(log.name, lines).pipe(
        Effect.andThen(Effect.sync(() => stored(log, lines.at(-1)!.id))),
        Effect.catch((error) => {
          dirty.add(log)
          return alarm.warn("lines of services' logs are not kept on disk", error)
        }),
      )
    }).pipe(log.lock.withPermit, Effect.uninterruptible)
  const keepAll = Effect.suspend(() =>
    Effect.forEach([...dirty], keep, { concurrency: storeConcurrency, discard: true }),
  )
  const work = Effect.gen(function* () {
    yield* Queue.take(wake)
    yield* Effect.sleep(storeEveryMs)
    yield* keepAll
    if (dirty.size === 0) return
    if (alarm.isOn()) yield* Effect.sleep(retryAfterMs)
    yield* Queue.offer(wake, undefined)
  })
  yield* Effect.addFinalizer(() => withDeadline(lastLinesMs, keepAll))
  yield* Effect.forkScoped(Effect.forever(work), { startImmediately: true })
  return (log: LogTail): void => {
    if (dirty.size === 0) Queue.offerUnsafe(wake, undefined)
    dirty.add(log)
  }
})

/** Reads and follows logs: what is stored, then what is not yet. */
const makeReader = Effect.fnUntraced(function* (logs: Logs, alarm: Alarm) {
  const store = yield* LogStore

  const stored = (name: ServiceName, filter: LogFilter) =>
    Effect.catch(store.read(name, filter), (error) =>
      alarm.warn("lines of services' logs cannot be read", error).pipe(Effect.as([])),
    )

  const readLog = (log: LogTail, filter: LogFilter): Effect.Effect<ReadonlyArray<KeptLine>> =>
    Effect.gen(function* () {
      const limit = filter.limit ?? maxLinesRead
      if (filter.after !== undefined && filter.after >= log.before)
        return log.tail.filter((line) => passes(filter, line)).slice(0, limit)
      const lines = yield* stored(log.name, filter)
      const waiting = waitingIn(log).filter((line) => passes(filter, line))
      return [...lines, ...waiting].slice(0, limit)
    }).pipe(log.lock.withPermit)

  const read = Effect.fn("ServiceLogs.read")(function* (name: ServiceName, filter: LogFilter = {}) {
    const log = logs.get(serviceKey(name))
    if (log !== undefined) return yield* readLog(log, filter)
    const lines = yield* stored(name, filter)
    if (lines.length > 0) return lines
    const lastId = yield* Effect.orElseSucceed(store.lastId(name), () => 0)
    return lastId > 0 ? [] : yield* new ServiceNotFound({ serviceId: name.serviceId })
  })

  /** The next lines after one; `None` behind them once the service is gone. */
  const nextLines = Effect.fnUntraced(function* (
    log: LogTail,
    changes: PubSub.Subscription<void>,
    life: number,
    filter: LogFilter,
    after: number,
  ) {
    while (true) {
      const isOver = log.life !== life || !log.isOpen
      const lines = yield* readLog(log, { since: filter.since, after, limit: followPage })
      const last = lines.at(-1)
      if (last !== undefined) {
        const passing = lines.filter((line) => passes(filter, line))
        return [passing, Option.some(last.id)] as const
      }
      if (isOver) return [[], Option.none<number>()] as const
      yield* PubSub.take(changes)
    }
  })

  const follow = (name: ServiceName, filter: LogFilter = {}) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const log = logs.get(serviceKey(name))
        if (log === undefined) return Stream.fromIterable(yield* read(name, filter))
        const changes = yield* PubSub.subscribe(log.changed)
        const { life } = log
        return Stream.paginate(filter.after ?? 0, (after) =>
          nextLines(log, changes, life, filter, after),
        )
      }),
    )
  return { read, follow }
})

const make = Effect.gen(function* () {
  const store = yield* LogStore
  const logs: Logs = new Map()
  const alarm = makeAlarm()
  const clock = yield* Clock.Clock
  const keep = yield* makeKeeper(logs, alarm)
  const { follow, read } = yield* makeReader(logs, alarm)

  const writerOf = (name: ServiceName) => (line: ServiceLogLine) => {
    const log = logs.get(serviceKey(name))
    if (log === undefined || !log.isOpen) return
    add(log, clock.currentTimeMillisUnsafe(), line)
    keep(log)
  }

  return ServiceLogs.of({
    read,
    follow,
    open: Effect.fnUntraced(function* (name) {
      const key = serviceKey(name)
      const known = logs.get(key)
      if (known !== undefined) {
        known.isOpen = true
        return writerOf(name)
      }
      const lastId = yield* Effect.orElseSucceed(store.lastId(name), () => 0)
      const changed = yield* PubSub.sliding<void>(1)
      if (!logs.has(key)) logs.set(key, makeLogTail(name, lastId, changed))
      return writerOf(name)
    }),
    close: (name) =>
      Effect.sync(() => {
        const log = logs.get(serviceKey(name))
        if (log === undefined) return
        log.isOpen = false
        log.life += 1
        PubSub.publishUnsafe(log.changed, undefined)
        if (waitingIn(log).length === 0) logs.delete(serviceKey(name))
      }),
  })
})

/** The logs of services, on whatever store there is. Closing it stores what waits. */
export const layerServiceLogs = Layer.effect(ServiceLogs, make)
