/**
 * A box that is ended at whatever moment leaves no process behind, also while it is being set up
 * (promise 9).
 */
import { readFileSync, readdirSync } from "node:fs"

import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

import { Box } from "../../../plugins/boxes/Box.ts"
import { Enclosure, findTools, type Level } from "../../../plugins/boxes/Enclosure.ts"
import { childrenOf } from "../../../plugins/boxes/Figures.ts"
import { makeSpawner } from "../../../plugins/boxes/Spawner.ts"

const boxes = 60
/** Within so many milliseconds of its start a box is ended: before, while and after it comes up. */
const spreadMs = 30

const commandOf = (pid: string) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8")
  } catch {
    return ""
  }
}

const left = (mark: string) => readdirSync("/proc").filter((pid) => commandOf(pid).includes(mark))

const { bwrap } = findTools()
const levels: ReadonlyArray<Level> =
  process.platform !== "linux" ? [] : bwrap === undefined ? ["sealed"] : ["bubblewrap", "sealed"]

/** Waits until bubblewrap has made the process that becomes the box, and kills it alone. */
const killBubblewrap = (box: Box) =>
  Effect.repeat(
    Effect.sync(() => {
      const isHalf = box.pid !== undefined && childrenOf(box.pid).length > 0
      if (isHalf) process.kill(box.pid!, "SIGKILL")
      return isHalf || box.isGone
    }),
    { until: Boolean, schedule: Schedule.spaced(1) },
  )

describe.skipIf(levels.length === 0)("the end of a box", () => {
  it.live.skipIf(bwrap === undefined)(
    "leaves nothing behind when somebody else killed bubblewrap while it set up",
    () =>
      Effect.gen(function* () {
        const enclosure = new Enclosure("bubblewrap", findTools(), true)
        const spawner = yield* makeSpawner(enclosure.files)
        const mark = `mark-${process.pid}-half`
        for (let n = 0; n < 20; n++) {
          const command = enclosure.runner(`process.stdin.resume() // ${mark}`, 64, 0)
          const limits = { heapMb: 64, memoryMb: 160 }
          const box = new Box({ spawner, command, limits, birth: { booted: () => {} } })
          yield* killBubblewrap(box)
          yield* Deferred.await(box.gone)
        }
        enclosure.close()
        yield* Effect.sleep(200)
        assert.deepStrictEqual(left(mark), [])
      }).pipe(Effect.scoped),
    30_000,
  )

  it.live.each(levels)(
    "leaves nothing behind, in %s",
    (level) =>
      Effect.gen(function* () {
        const enclosure = new Enclosure(level, findTools(), true)
        const spawner = yield* makeSpawner(enclosure.files)
        const mark = `mark-${process.pid}-${level}`
        const script = `process.stdin.on("data", () => {}) // ${mark}`
        for (let n = 0; n < boxes; n++) {
          const command = enclosure.runner(script, 64, 0)
          const limits = { heapMb: 64, memoryMb: 160 }
          const box = new Box({ spawner, command, limits, birth: { booted: () => {} } })
          yield* Effect.sleep((n * spreadMs) / boxes)
          box.end({ reason: "the test" })
          assert.strictEqual((yield* Deferred.await(box.gone)).reason, "the test")
        }
        enclosure.close()
        yield* Effect.sleep(200)
        assert.deepStrictEqual(left(mark), [])
      }).pipe(Effect.scoped),
    30_000,
  )
})
