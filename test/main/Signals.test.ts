/**
 * Signals: the first asks for the end, the second ends at once, an echo counts once.
 */
import { assert, describe, it } from "vitest"

import { echoMs, makeJudge } from "../../src/main/Signals.ts"

describe("Signals", () => {
  it("asks for a shutdown at the first signal and for the end at the second (promise 9)", () => {
    const judge = makeJudge()
    assert.strictEqual(judge("SIGTERM", 0), "stop")
    assert.strictEqual(judge("SIGTERM", 1000), "exit")
  })

  it("takes another signal for the second one however soon it comes", () => {
    const judge = makeJudge()
    assert.strictEqual(judge("SIGINT", 0), "stop")
    assert.strictEqual(judge("SIGTERM", 1), "exit")
  })

  it("takes the echoes of one Ctrl-C for one", () => {
    const judge = makeJudge()
    assert.strictEqual(judge("SIGINT", 0), "stop")
    assert.strictEqual(judge("SIGINT", echoMs - 1), "nothing")
    assert.strictEqual(judge("SIGINT", 2 * echoMs - 2), "nothing")
    assert.strictEqual(judge("SIGINT", 4 * echoMs), "exit")
  })
})
