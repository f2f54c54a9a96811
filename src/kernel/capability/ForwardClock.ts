/**
 * A clock that never runs backwards, by which tokens expire: one that has expired must not come
 * back because somebody set the machine's clock (promise 2).
 */
import type { Clock } from "effect/Clock"
import * as Effect from "effect/Effect"

const nanosPerMilli = 1_000_000n

/**
 * Follows `clock`, but never shows less than `floor` or than it has shown before. While `clock` is
 * behind, it goes on at the pace of monotonic time.
 */
export const makeForwardClock = (clock: Clock, floor: number): Clock => {
  let newest = floor
  let anchor: bigint | undefined

  const now = (): number => {
    const wall = clock.currentTimeMillisUnsafe()
    if (wall >= newest) {
      newest = wall
      anchor = undefined
      return wall
    }
    const monotonic = clock.monotonicTimeNanosUnsafe()
    anchor ??= monotonic
    const elapsed = (monotonic - anchor) / nanosPerMilli
    newest += Number(elapsed)
    anchor += elapsed * nanosPerMilli
    return newest
  }

  const nanos = () => BigInt(now()) * nanosPerMilli
  return {
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration),
  }
}
