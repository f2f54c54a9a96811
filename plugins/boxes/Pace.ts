/**
 * How fast a box may speak. An intact one keeps to it: its runner drops lines of the log, and almost
 * everything else waits for an answer of the kernel's. One that has been taken over could take all
 * of the kernel's time with frames that are cheap to write and not to read.
 */
import type { Violation } from "solo"

import { Outbound, logBurst, logsPerSecond } from "../realm/Frame.ts"

/** Frames of any kind in less than a second. */
const maxFrames = 50_000
/** Lines of the log: an intact box has so many at most, twice. */
const maxLines = 2 * (logBurst + logsPerSecond)
/** Requests that go out. The kernel lets fewer pass, so that more can only be given up again. */
const maxFetches = 2000

const second = 1000

/** Whether one more makes it more than `maximum` in less than a second. */
const makeCount = (maximum: number, now: () => number) => {
  let since = now()
  let count = 0
  return (): boolean => {
    if (++count <= maximum) return false
    // The clock is asked once in so many frames.
    const at = now()
    const isTooFast = at - since < second
    since = at
    count = 1
    return isTooFast
  }
}

/** Takes note of a frame by its type; the limit that the box has broken with it. */
export const makePace = (now: () => number): ((type: number) => Violation | undefined) => {
  const isTooMany = makeCount(maxFrames, now)
  const isTooManyLines = makeCount(maxLines, now)
  const isTooManyFetches = makeCount(maxFetches, now)
  return (type) => {
    if (isTooMany()) return { limit: "framesPerSecond", value: maxFrames }
    if (type === Outbound.errandHead && isTooManyFetches())
      return { limit: "fetchesPerSecond", value: maxFetches }
    if ((type === Outbound.log || type === Outbound.logFields) && isTooManyLines())
      return { limit: "linesPerSecond", value: maxLines }
    return undefined
  }
}
