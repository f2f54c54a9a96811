/**
 * The log of one instance: the last lines, and whoever follows it. Slow followers lose lines; the
 * kernel never holds more than the ring and one bounded queue per follower.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { ServiceLogLevel, ServiceLogLine } from "solo"

/** Lines kept, and lines a follower may be behind. */
const ringSize = 256

/** Longest line, in UTF-16 code units. */
const maxLine = 8192

/** Collects the lines of an instance. */
export class LogRing {
  #ring: Array<ServiceLogLine> = []
  #followers = new Set<Queue.Queue<ServiceLogLine, Cause.Done>>()
  #ended = false
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Adds a line. */
  add(level: ServiceLogLevel, message: string, fields?: ServiceLogLine["fields"]): void {
    if (this.#ended) return
    const time = new Date(this.#now()).toISOString()
    const text = message.slice(0, maxLine)
    const line: ServiceLogLine = {
      time,
      level,
      message: text,
      ...(fields === undefined ? {} : { fields }),
    }
    this.#ring.push(line)
    if (this.#ring.length > ringSize) this.#ring.shift()
    for (const follower of this.#followers) Queue.offerUnsafe(follower, line)
  }

  /** No line comes after this; followers end. */
  end(): void {
    this.#ended = true
    for (const follower of this.#followers) Queue.endUnsafe(follower)
    this.#followers.clear()
  }

  /** The lines kept, then new ones until the instance ends. */
  get lines(): Stream.Stream<ServiceLogLine> {
    const follow = Effect.gen({ self: this }, function* () {
      const queue = yield* Queue.sliding<ServiceLogLine, Cause.Done>(ringSize * 2)
      for (const line of this.#ring) Queue.offerUnsafe(queue, line)
      if (this.#ended) Queue.endUnsafe(queue)
      else this.#followers.add(queue)
      yield* Effect.addFinalizer(() => Effect.sync(() => this.#followers.delete(queue)))
      return Stream.fromQueue(queue)
    })
    return Stream.unwrap(follow)
  }
}
