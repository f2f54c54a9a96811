/**
 * What is under way for services and may have to end before its time: one thing per service, told
 * so with the reason, and waited for. What ending means is the business of whoever carries it out;
 * the kernel's stopping ends everything.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { serviceKey, type ServiceName } from "../../domain/Identifier.ts"
import { withDeadline } from "../Deadline.ts"
import { Readiness } from "../Readiness.ts"

/** How long the shutdown waits for what it ended to be undone, in milliseconds. */
const undoTimeoutMs = 3000

/** The reason of what the shutdown ends. */
export const kernelStops = "the kernel is stopping"

/** Something under way, as the one who carries it out holds it. */
export interface Endable {
  /** Succeeds when it must end, with the reason. */
  readonly ended: Effect.Effect<string>
}

/**
 * Does something that is in vain once `endable` must end: that interrupts it, and fails with what
 * `failure` makes of the reason.
 */
export const unlessEnded =
  <E2>(endable: Endable, failure: (reason: string) => E2) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> => {
    const ended = Effect.flatMap(endable.ended, (reason) => Effect.fail(failure(reason)))
    return Effect.raceFirst(Effect.interruptible(effect), Effect.interruptible(ended))
  }

/** Something under way, as its keeper sees it. `subject` says what it is. */
export interface Entry<S> {
  readonly subject: S
  readonly reason: Deferred.Deferred<string>
  /** Completes when it is over for others: whether it was committed, so that nothing is undone. */
  readonly over: Deferred.Deferred<boolean>
}

/** For as long as it is not lifted, whatever it is for ends as soon as it begins. */
interface Bar {
  /** Idempotent. */
  readonly lift: () => void
  /** Whether it was the first to end something. */
  readonly hasEnded: () => boolean
}

/** The things under way. All methods that are no effects are synchronous. */
interface Endings<S> {
  /** Registers what begins. There must be none of this service. */
  readonly enter: (name: ServiceName, subject: S) => Entry<S>
  /** Idempotent: only the first `committed` counts. */
  readonly leave: (name: ServiceName, entry: Entry<S>, committed: boolean) => void
  readonly get: (name: ServiceName) => Entry<S> | undefined
  readonly all: () => ReadonlyArray<Entry<S>>
  /** Ends what is under way for a service and waits for that; whether there was one to undo. */
  readonly end: (name: ServiceName, reason: string) => Effect.Effect<boolean>
  /** Ends what is and what will be under way for a service where `isFor` says so. */
  readonly bar: (name: ServiceName, reason: string, isFor?: (subject: S) => boolean) => Bar
}

const tell = <S>(entry: Entry<S>, reason: string): boolean =>
  Deferred.doneUnsafe(entry.reason, Effect.succeed(reason))

interface Obstacle<S> {
  readonly isFor: (subject: S) => boolean
  readonly end: (entry: Entry<S>) => void
}

/** The bars, by service, the oldest first. */
const makeBars = <S>() => {
  const bars = new Map<string, Set<Obstacle<S>>>()
  const add = (key: string, obstacle: Obstacle<S>) => {
    bars.set(key, (bars.get(key) ?? new Set()).add(obstacle))
    return () => {
      const own = bars.get(key)
      if (own?.delete(obstacle) === true && own.size === 0) bars.delete(key)
    }
  }
  const meet = (key: string, entry: Entry<S>) => {
    for (const { end, isFor } of bars.get(key) ?? []) if (isFor(entry.subject)) end(entry)
  }
  return { add, meet }
}

/** Things under way that end with the kernel; the scope's end waits for what is left of them. */
export const makeEndings = Effect.fnUntraced(function* <S>() {
  const readiness = yield* Readiness
  const entries = new Map<string, Entry<S>>()
  const bars = makeBars<S>()

  const enter = (name: ServiceName, subject: S): Entry<S> => {
    const key = serviceKey(name)
    const entry: Entry<S> = {
      subject,
      reason: Deferred.makeUnsafe(),
      over: Deferred.makeUnsafe(),
    }
    entries.set(key, entry)
    if (SubscriptionRef.getUnsafe(readiness).status === "stopping") tell(entry, kernelStops)
    bars.meet(key, entry)
    return entry
  }

  const bar = (name: ServiceName, reason: string, isFor: (subject: S) => boolean = () => true) => {
    const key = serviceKey(name)
    let hasEnded = false
    const end = (entry: Entry<S>) => {
      hasEnded = tell(entry, reason) || hasEnded
    }
    const lift = bars.add(key, { isFor, end })
    const entry = entries.get(key)
    if (entry !== undefined && isFor(entry.subject)) end(entry)
    return { lift, hasEnded: () => hasEnded }
  }

  const endAll = Effect.suspend(() => {
    const open = [...entries.values()]
    for (const entry of open) tell(entry, kernelStops)
    return Effect.forEach(open, ({ over }) => Deferred.await(over), { discard: true })
  })

  yield* SubscriptionRef.changes(readiness).pipe(
    Stream.runForEach(({ status }) => (status === "stopping" ? endAll : Effect.void)),
    Effect.forkScoped,
  )
  yield* Effect.addFinalizer(() => withDeadline(undoTimeoutMs, endAll))

  const endings: Endings<S> = {
    enter,
    leave: (name, entry, committed) => {
      const key = serviceKey(name)
      if (entries.get(key) === entry) entries.delete(key)
      Deferred.doneUnsafe(entry.over, Effect.succeed(committed))
    },
    get: (name) => entries.get(serviceKey(name)),
    all: () => [...entries.values()],
    end: (name, reason) =>
      Effect.suspend(() => {
        const entry = entries.get(serviceKey(name))
        if (entry === undefined) return Effect.succeed(false)
        tell(entry, reason)
        return Effect.map(Deferred.await(entry.over), (committed) => !committed)
      }),
    bar,
  }
  return endings
})
