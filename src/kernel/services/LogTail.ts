/**
 * The newest lines of one service's log, in memory: those that wait for the store, and some more for
 * whoever follows. It numbers lines; when they are stored, and what becomes of them, is not its
 * business.
 */
import * as PubSub from "effect/PubSub"
import * as Semaphore from "effect/Semaphore"

import type { ServiceName } from "../../domain/Identifier.ts"
import type { KeptLine } from "./LogStore.ts"
import type { ServiceLogLine } from "./Runtime.ts"

/** Lines kept although they are stored. */
const maxTail = 256

/** Lines that wait for the store; of more the oldest are lost. */
const maxWaiting = 2048

/** The end of one service's log. */
export interface LogTail {
  readonly name: ServiceName
  /** The newest lines, the unstored ones among them. */
  tail: Array<KeptLine>
  /** Id of the last line before the tail. */
  before: number
  lastId: number
  storedId: number
  isOpen: boolean
  /** Counts how often the service came and went. */
  life: number
  /** Held while lines move to the store, and while both are read. */
  readonly lock: Semaphore.Semaphore
  /** Says that something changed, to whoever follows. */
  readonly changed: PubSub.PubSub<void>
}

/** An open log that goes on behind the line `lastId`. */
export const makeLogTail = (
  name: ServiceName,
  lastId: number,
  changed: PubSub.PubSub<void>,
): LogTail => ({
  name,
  tail: [],
  before: lastId,
  lastId,
  storedId: lastId,
  isOpen: true,
  life: 0,
  lock: Semaphore.makeUnsafe(1),
  changed,
})

/** The lines that are not stored yet. */
export const waitingIn = (log: LogTail): ReadonlyArray<KeptLine> =>
  log.tail.filter(({ id }) => id > log.storedId).slice(-maxWaiting)

/** Lets go of what is stored and not among the newest. */
// Trimmed in strides, so that a line costs no copy of the tail.
export const trim = (log: LogTail): void => {
  if (log.tail.length < 2 * maxTail) return
  const waiting = waitingIn(log).length
  const keep = Math.max(maxTail, waiting)
  if (log.tail.length < 2 * keep) return
  const dropped = log.tail.slice(0, -keep)
  log.tail = log.tail.slice(-keep)
  log.before = dropped.at(-1)!.id
}

/** Adds a line at the time `now`, in milliseconds. */
export const add = (log: LogTail, now: number, line: ServiceLogLine): void => {
  const id = Math.max(log.lastId + 1, now * 1000)
  log.lastId = id
  log.tail.push({ ...line, id })
  trim(log)
  PubSub.publishUnsafe(log.changed, undefined)
}
