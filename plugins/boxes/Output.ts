/**
 * What the kernel hears of a box: its output cut into frames, and no more of them in one turn of the
 * event loop than leave the others theirs. A box that says more waits for its next turn, and writes
 * no faster than it is heard.
 */
import type { Socket } from "node:net"

import { Outbound } from "../realm/Frame.ts"
import { Cutter, maxFrameBytes } from "./Wire.ts"

/** What may be heard in one turn, in the cost of frames. */
const turnCost = 256

/** Frames that the kernel has more to do for than to note them. */
const questions: ReadonlySet<number> = new Set([
  Outbound.secretWanted,
  Outbound.storeRead,
  Outbound.storeWrite,
  Outbound.errandHead,
])
const questionCost = 16

const costOf = (frame: Uint8Array): number => (questions.has(frame[0]!) ? questionCost : 1)

/** Who hears. */
export interface Hearer {
  /** Whether there is any use in hearing more. */
  readonly isOver: () => boolean
  readonly frame: (frame: Uint8Array) => void
  /** What came is no frame, and nothing can follow. */
  readonly broken: () => void
  /** The output is closed, and all that came was heard. */
  readonly closed: () => void
}

/** Hears `output` until it ends. */
export const hear = (output: Socket, hearer: Hearer): void => {
  let frames: Array<Uint8Array> = []
  let next = 0
  let isBroken = false
  let isClosed = false
  const cutter = new Cutter(maxFrameBytes, (frame) => void frames.push(frame))
  const turn = (): void => {
    for (let left = turnCost; left > 0 && next < frames.length && !hearer.isOver(); next++) {
      const frame = frames[next]!
      left -= costOf(frame)
      hearer.frame(frame)
    }
    if (next < frames.length && !hearer.isOver()) {
      output.pause()
      setImmediate(turn)
      return
    }
    frames = []
    next = 0
    if (isBroken && !hearer.isOver()) hearer.broken()
    if (isClosed) hearer.closed()
    else output.resume()
  }
  output.on("data", (bytes: Buffer) => {
    if (hearer.isOver()) return
    isBroken = !cutter.push(bytes)
    turn()
  })
  output.on("close", () => {
    isClosed = true
    if (frames.length === 0) hearer.closed()
  })
}
