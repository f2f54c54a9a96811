/**
 * The warden ends what the kernel left behind, and nothing else (promise 9). The kernel is played by
 * a process that starts a warden and is killed, the boxes by processes that would outlive it.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { Enclosure, findTools } from "../../../plugins/boxes/Enclosure.ts"
import { startWarden } from "../../../plugins/boxes/Warden.ts"

const idle = (mark: string) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)", mark])),
    (child) => Effect.sync(() => child.kill("SIGKILL")),
  )

const signalOf = (child: ChildProcess) =>
  Effect.promise(async () => {
    if (child.signalCode === null) await once(child, "exit")
    return child.signalCode
  })

const warden = new URL("../../../plugins/boxes/Warden.ts", import.meta.url).href
const kernelWith = (mark: string) => `
const { startWarden } = await import(${JSON.stringify(warden)})
const Effect = await import("effect/Effect")
Effect.runFork(Effect.scoped(Effect.andThen(startWarden(${JSON.stringify(mark)}), Effect.never)))
console.log("ready")`

describe.skipIf(process.platform !== "linux")("the warden", () => {
  it.live("ends what has the mark when the kernel was killed", () =>
    Effect.gen(function* () {
      const { mark } = new Enclosure("none", findTools(), false)
      const box = yield* idle(mark)
      const other = yield* idle("solo-box-of-another-kernel")
      const kernel = spawn(process.execPath, ["--input-type=module", "-e", kernelWith(mark)])
      yield* Effect.promise(() => once(kernel.stdout, "data"))
      assert.isNull(box.signalCode)
      kernel.kill("SIGKILL")
      assert.strictEqual(yield* signalOf(box), "SIGKILL")
      assert.isNull(other.signalCode)
    }).pipe(Effect.scoped),
  )

  it.live("lets go when the boxes are closed in order", () =>
    Effect.gen(function* () {
      const mark = "solo-box-closed-in-order"
      const box = yield* idle(mark)
      yield* Effect.scoped(startWarden(mark))
      yield* Effect.sleep(300)
      assert.isNull(box.signalCode)
    }).pipe(Effect.scoped),
  )

  it("gives every enclosure a mark of its own, on the command line of its runners", () => {
    const [one, other] = [1, 2].map(() => new Enclosure("none", findTools(), false))
    assert.notStrictEqual(one!.mark, other!.mark)
    assert.include(one!.runner("0", 64, 0).args, one!.mark)
  })
})
