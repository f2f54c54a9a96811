/**
 * What the kernel holds of a box while it runs, on a box that a test speaks for.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

import type { Box, Listener } from "../../../plugins/boxes/Box.ts"
import { startInBox } from "../../../plugins/boxes/ServiceBox.ts"
import { makeWatch } from "../../../plugins/boxes/Watch.ts"
import { encode, logBurst, logsPerSecond, Outbound } from "../../../plugins/realm/Frame.ts"
import { programOf } from "../../contract/RuntimeClient.ts"

/** A running service, and what its box says. */
const running = Effect.gen(function* () {
  const heard: Array<Listener> = []
  const box: Partial<Box> = {
    listen: (listener) => void heard.push(listener),
    send: () => heard[0]!.frame(encode(Outbound.ready, 0)),
    end: (ending) => heard[0]!.ended(ending),
    ping: () => {},
  }
  const instance = yield* startInBox(
    {
      take: () => Effect.succeed(box as Box),
      booted: () => Effect.void,
      watch: yield* makeWatch({ stallMs: 1000, cpuWindowMs: 10_000 }),
      responseMb: 1,
    },
    programOf("none"),
  )
  return { instance, say: heard[0]!.frame }
})

describe("ServiceBox", () => {
  it.effect("counts the lines of a second by the kernel's clock", () =>
    Effect.gen(function* () {
      const { instance, say } = yield* running
      const most = 2 * (logBurst + logsPerSecond)
      const log = Effect.sync(() => {
        for (let n = 0; n < most; n++) say(encode(Outbound.log, 1))
      })
      yield* log
      yield* TestClock.adjust("1 second")
      yield* log
      const exit = yield* Effect.forkChild(instance.exit, { startImmediately: true })
      assert.isUndefined(exit.pollUnsafe())
      say(encode(Outbound.log, 1))
      assert.strictEqual((yield* instance.exit)._tag, "Crashed")
    }).pipe(Effect.scoped),
  )
})
