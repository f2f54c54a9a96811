/**
 * The newest events in memory, and the bell that rings when there are more: what lets any number
 * of live subscribers follow the log without asking the database for every event. It holds only
 * what is durable, and never more than its bounds.
 */
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"

import type { Event } from "../../domain/Event.ts"

/** Events kept at most, and how many are left when there would be more. */
const maxEvents = 8192
const keptEvents = 4096

/** Payload bytes (UTF-16 code units) kept at most. */
const maxBytes = 16 * 1024 * 1024

/** Follows the end of the log. */
export interface EventTail {
  /** Id of the newest durable event. */
  readonly lastId: () => number
  /** The events after `id`, or `undefined` when some of them are no longer here. */
  readonly after: (id: number) => ReadonlyArray<Event> | undefined
  /** Adds what has just become durable, and rings. */
  readonly push: (events: ReadonlyArray<Event>, bytes: ReadonlyArray<number>) => Effect.Effect<void>
  /** Learns that the log reaches up to `id`: what lies between, only the database has. */
  readonly skipTo: (id: number) => Effect.Effect<void>
  /** Rung with the newest id after every push; a slow listener hears only the last ring. */
  readonly bell: PubSub.PubSub<number>
}

/** Starts a tail behind the event `lastId`. */
export const makeEventTail = Effect.fnUntraced(function* (
  lastId: number,
): Effect.fn.Return<EventTail> {
  const bell = yield* PubSub.sliding<number>(1)
  let kept: Array<{ readonly event: Event; readonly bytes: number }> = []
  let keptBytes = 0
  let newest = lastId

  // In strides, so that an append costs no copy of the tail.
  const trim = () => {
    let drop = kept.length > maxEvents ? kept.length - keptEvents : 0
    for (let i = 0; i < drop; i++) keptBytes -= kept[i]!.bytes
    while (keptBytes > maxBytes && drop < kept.length) keptBytes -= kept[drop++]!.bytes
    if (drop > 0) kept = kept.slice(drop)
  }

  return {
    bell,
    skipTo: (id) => {
      kept = []
      keptBytes = 0
      newest = id
      return PubSub.publish(bell, newest)
    },
    lastId: () => newest,
    after: (id) => {
      if (id >= newest) return []
      const oldest = kept[0]?.event.id
      if (oldest === undefined || id < oldest - 1) return undefined
      return kept.slice(id - oldest + 1).map((entry) => entry.event)
    },
    push: (events, bytes) => {
      for (const [index, event] of events.entries()) {
        kept.push({ event, bytes: bytes[index]! })
        keptBytes += bytes[index]!
        newest = event.id
      }
      trim()
      return PubSub.publish(bell, newest)
    },
  }
})
