/**
 * Events that somebody outside can cause as often as they like: recorded in the background, so many
 * per minute and group at most, so that they can neither flood the log nor slow down what they
 * report. What is left out, or could not be written, is counted in the next one.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"

import type { EventDraft } from "../../domain/Event.ts"
import { EventStore } from "./EventStore.ts"

/** How long a group's count lasts, in milliseconds. */
const recordingWindowMs = 60_000

/** Events waiting to be written; more are dropped and counted. */
const maxWaiting = 256

/** Groups counted at once; further ones share a count. */
const maxGroups = 10_000

/** The group of those that found no room: no text, which could be the name of another. */
const overflow = Symbol("overflow")

const dropped = Metric.counter("solo_events_unrecorded_total", {
  description: "Events left out of the log: by the bounds on recording, or because storage failed",
  incremental: true,
})

interface Group {
  recorded: number
  unrecorded: number
}

/** Finds the group of a key, in the window that the clock is in. */
const makeGroups = (clock: Clock.Clock): ((key: string) => Group) => {
  const groups = new Map<string | typeof overflow, Group>()
  let windowEnds = 0

  return (key) => {
    const now = clock.currentTimeMillisUnsafe()
    if (now >= windowEnds || windowEnds - now > recordingWindowMs) {
      windowEnds = now + recordingWindowMs
      // Only what has something left to tell is kept.
      for (const [name, group] of groups) {
        if (group.unrecorded === 0) groups.delete(name)
        else group.recorded = 0
      }
    }
    const name = groups.has(key) || groups.size < maxGroups ? key : overflow
    const group = groups.get(name) ?? { recorded: 0, unrecorded: 0 }
    groups.set(name, group)
    return group
  }
}

/** Records events, at most so many per group. */
interface Recorder {
  /** Drafts and queues the event, unless its group had its share. Never waits, never fails. */
  readonly record: (group: string, make: (unrecorded: number) => EventDraft) => void
  /** Returns when everything queued before it is in the log, or could not be written. */
  readonly flush: Effect.Effect<void>
}

/** An event to write: of which group, and how many that were left out it tells of. */
interface Pending {
  readonly group: string
  readonly draft: EventDraft
  readonly unrecorded: number
}

/** What waits: events to write, and those who wait for all before them. */
type Waiting = Pending | Deferred.Deferred<void>

/** How often a flush asks again while the queue is full. */
const flushRetry = "10 millis"

/** Starts a recorder that writes at most `perWindow` events of a group in a window. */
export const makeRecorder = Effect.fnUntraced(function* (perWindow: number) {
  const events = yield* EventStore
  const groupOf = makeGroups(yield* Clock.Clock)
  const context = yield* Effect.context<never>()
  const queue = yield* Queue.dropping<Waiting, Cause.Done>(maxWaiting)
  const leaveOut = (group: Group): void => {
    group.unrecorded++
    dropped.updateUnsafe(1, context)
  }

  // While storage fails, one warning is enough.
  let failing = false
  const write = Effect.fnUntraced(
    function* (pending: ReadonlyArray<Pending>) {
      const [first, ...rest] = pending.map(({ draft }) => draft)
      if (first !== undefined) yield* events.append([first, ...rest])
      failing = false
    },
    (writing, pending) =>
      Effect.catch(writing, (error) => {
        for (const { group: key, unrecorded } of pending) {
          const group = groupOf(key)
          group.unrecorded += unrecorded
          leaveOut(group)
        }
        if (failing) return Effect.void
        failing = true
        return Effect.logWarning("could not record what was refused or read").pipe(
          Effect.annotateLogs({ reason: error.message }),
        )
      }),
  )
  const settle = Effect.fnUntraced(function* (waiting: ReadonlyArray<Waiting>) {
    yield* write(waiting.filter((one): one is Pending => !Deferred.isDeferred(one)))
    for (const one of waiting) if (Deferred.isDeferred(one)) yield* Deferred.succeed(one, undefined)
  })
  const flush: Effect.Effect<void> = Effect.suspend(() => {
    if (queue.state._tag !== "Open") return Effect.void
    const done = Deferred.makeUnsafe<void>()
    return Queue.offerUnsafe(queue, done)
      ? Deferred.await(done)
      : Effect.andThen(Effect.sleep(flushRetry), flush)
  })
  const writer = yield* Effect.forkScoped(
    Queue.takeBetween(queue, 1, maxWaiting).pipe(
      Effect.flatMap((waiting) => Effect.uninterruptible(settle(waiting))),
      Effect.forever,
      Effect.ignore,
    ),
    { startImmediately: true },
  )
  // What waits at the end is still written: the fiber ends by itself once the queue is empty.
  yield* Effect.addFinalizer(() => Effect.andThen(Queue.end(queue), Fiber.await(writer)))

  return {
    record: (key, make) => {
      const group = groupOf(key)
      const { recorded, unrecorded } = group
      const offer = () =>
        Queue.offerUnsafe(queue, { group: key, draft: make(unrecorded), unrecorded })
      if (recorded < perWindow && offer()) {
        group.recorded++
        group.unrecorded = 0
      } else {
        leaveOut(group)
      }
    },
    flush,
  } satisfies Recorder
})
