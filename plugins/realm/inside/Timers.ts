/**
 * setTimeout and setInterval for any number of timers, up to a bound, on one timer of the host.
 */
import { maxTimers } from "../Frame.ts"
import { reportError } from "./Failure.ts"
import { now, wake } from "./Host.ts"

interface Timer {
  at: number
  readonly run: (...args: Array<unknown>) => unknown
  readonly args: Array<unknown>
  readonly every: number | undefined
}

const longestDelay = 0x7fffffff
const timers = new Map<number, Timer>()
let lastId = 0
let nextAt = Infinity

const plan = (at: number) => {
  if (at >= nextAt) return
  nextAt = at
  wake(Math.max(1, Math.ceil(at - now())))
}

/** Sets a timer and returns its number. Throws when too many are set. */
export const setTimer = (
  run: (...args: Array<unknown>) => unknown,
  delay: unknown,
  args: Array<unknown>,
  repeat: boolean,
): number => {
  if (typeof run !== "function") throw new TypeError("a timer needs a function")
  if (timers.size >= maxTimers) throw new RangeError(`at most ${maxTimers} timers may be set`)
  const wanted = Number(delay)
  const ms = wanted >= 1 && wanted <= longestDelay ? wanted : 1
  const timer = { at: now() + ms, run, args, every: repeat ? ms : undefined }
  timers.set(++lastId, timer)
  plan(timer.at)
  return lastId
}

/** Unsets a timer, if it is set. */
export const clearTimer = (id: unknown): void => {
  timers.delete(Number(id))
}

/** Runs what is due. The host calls it when the time it was asked to wait is over. */
export const tick = (): void => {
  nextAt = Infinity
  const time = now()
  const due = [...timers].filter(([, timer]) => timer.at <= time)
  due.sort(([, left], [, right]) => left.at - right.at)
  for (const [id, timer] of due) {
    if (!timers.has(id)) continue
    if (timer.every === undefined) timers.delete(id)
    else timer.at = time + timer.every
    try {
      timer.run(...timer.args)
    } catch (error) {
      reportError(error)
    }
  }
  let soonest = Infinity
  for (const timer of timers.values()) soonest = Math.min(soonest, timer.at)
  plan(soonest)
}
