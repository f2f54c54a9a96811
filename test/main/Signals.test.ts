/**
 * Signals: the first asks for the end, the second ends at once, an echo counts once.
 */
import { EventEmitter } from "node:events"

import { afterEach, assert, describe, it, vi } from "vitest"

import { echoMs, handoverVariable, listen, makeJudge } from "../../src/main/Signals.ts"

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
    assert.strictEqual(judge("SIGINT", 3 * echoMs - 2), "exit")
  })
})

describe("listen", () => {
  const undo: Array<() => void> = []
  afterEach(() => {
    for (const one of undo.splice(0)) one()
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
  })

  /** Gives this process a property for the time of one test. */
  const stand = (name: "channel" | "send", value: unknown) => {
    const own = Object.getOwnPropertyDescriptor(process, name)
    Object.defineProperty(process, name, { value, configurable: true })
    undo.push(() => {
      delete process[name]
      if (own !== undefined) Object.defineProperty(process, name, own)
    })
  }

  /** Listens as a child whose parent, if it has one, hears what is sent; the signals are ours. */
  const start = (handover: string | undefined, hasParent: boolean) => {
    const signals = new EventEmitter()
    const asked: Array<string> = []
    for (const how of ["on", "once"] as const)
      vi.spyOn(process, how).mockImplementation((name, listener) => {
        signals[how](name, listener)
        return process
      })
    vi.stubEnv(handoverVariable, handover)
    const unref = () => void asked.push("need not wait for the parent")
    stand("channel", hasParent ? { unref } : undefined)
    stand("send", hasParent ? (text: string) => void asked.push(`sent ${text}`) : undefined)
    listen({
      onStop: (reason) => void asked.push(`stop: ${reason}`),
      onExit: (code) => void asked.push(`exit: ${code}`),
    })
    return { signals, asked }
  }

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("a second signal, %s, ends the process with its own code (3.7)", (signal, code) => {
    const { signals, asked } = start(undefined, false)
    const first = signal === "SIGTERM" ? "SIGINT" : "SIGTERM"
    signals.emit(first)
    signals.emit(signal)
    signals.emit(signal)
    assert.deepStrictEqual(asked, [`stop: ${first}`, `exit: ${code}`], "an echo asks for nothing")
  })

  it("tells the parent that handed over to it, and stops when that is gone", () => {
    const { signals, asked } = start("1", true)
    assert.deepStrictEqual(asked, ["sent listening", "need not wait for the parent"])
    assert.isUndefined(process.env[handoverVariable], "its own children are nobody's handover")
    signals.emit("disconnect")
    assert.deepStrictEqual(asked.slice(2), ["stop: the parent process is gone"])
  })

  it.each([
    ["a parent that did not hand over", undefined, true],
    ["nobody", "1", false],
  ] as const)("has nothing to say to %s", (_, handover, hasParent) => {
    const { signals, asked } = start(handover, hasParent)
    assert.strictEqual(signals.listenerCount("disconnect"), 0)
    assert.deepStrictEqual(asked, [])
  })
})
