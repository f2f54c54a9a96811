/**
 * What is heard of a box: all of it, in order, and in one turn of the event loop no more than leaves
 * the others theirs (promise 4).
 */
import type { Socket } from "node:net"
import { PassThrough } from "node:stream"
import { setImmediate } from "node:timers/promises"

import { assert, describe, it } from "vitest"

import { hear } from "../../../plugins/boxes/Output.ts"
import { pack } from "../../../plugins/boxes/Wire.ts"
import { Outbound, encode, numberOf, decode, encodeNumber } from "../../../plugins/realm/Frame.ts"

/** A box that says these frames, and what is heard of them. */
const hearAll = (frames: ReadonlyArray<Uint8Array>, garbage = "") => {
  const output = new PassThrough()
  const heard: Array<Uint8Array> = []
  const state = { isOver: false, isBroken: false }
  let close = () => {}
  const closed = new Promise<void>((resolve) => (close = resolve))
  hear(output as unknown as Socket, {
    isOver: () => state.isOver,
    frame: (frame) => heard.push(frame),
    broken: () => (state.isBroken = state.isOver = true),
    closed: () => close(),
  })
  output.end(Buffer.concat([...frames.map(pack), Buffer.from(garbage)]))
  return { closed, heard, state }
}

/** How many frames are heard in each turn, until all are. */
const turnsOf = async (frames: ReadonlyArray<Uint8Array>): Promise<ReadonlyArray<number>> => {
  const { heard } = hearAll(frames)
  const turns: Array<number> = []
  while (heard.length < frames.length) {
    const before = heard.length
    await setImmediate()
    if (heard.length > before) turns.push(heard.length - before)
  }
  return turns
}

const many = (type: number) => Array.from({ length: 1000 }, (_, id) => encode(type, id))

describe("what is heard of a box", () => {
  it("leaves others their turn", async () => {
    const cheap = await turnsOf(many(Outbound.ready))
    const questions = await turnsOf(many(Outbound.secretWanted))
    assert.isAtMost(Math.max(...cheap), 256)
    assert.isAtMost(Math.max(...questions), 16)
  })

  it("is all of it, in order, and then its end", async () => {
    const frames = Array.from({ length: 5000 }, (_, n) =>
      encodeNumber(Outbound.requestCredit, n, n),
    )
    const { closed, heard } = hearAll(frames)
    await closed
    assert.deepStrictEqual(
      heard.map((frame) => numberOf(decode(frame)!)),
      Array.from({ length: 5000 }, (_, n) => n),
    )
  })

  it("is what came before something that is no frame", async () => {
    const { heard, state } = hearAll(many(Outbound.ready), "\0\0\0\0")
    while (!state.isBroken) await setImmediate()
    assert.strictEqual(heard.length, 1000)
  })

  it("is nothing once it is over, and its end all the same", async () => {
    const { closed, heard, state } = hearAll(many(Outbound.ready))
    state.isOver = true
    await closed
    assert.isAtMost(heard.length, 256)
  })
})
