/**
 * Hot swaps of a real service in a real box, under clients that never stop asking, and with the
 * kernel killed in each phase: no request is dropped or answered by two revisions, and exactly one
 * revision comes back (promises 1, 3, 10). `TEST_SWAPS` says how many swaps the clients see.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import {
  allEvents,
  type Answer,
  call,
  dataDirectory,
  kernel,
  type KernelProcess,
  ready,
} from "./KernelProcess.ts"

const swaps = Number(process.env["TEST_SWAPS"] ?? 5)

/** Clients that ask at the same time. */
const clients = 64

const path = "/services/acme/counter/"

/** Says its number in a header and in every piece of a body that takes its time. */
const countingSource = (n: number, more = "") => `
const n = ${n}
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
export default {
  ${more}
  async fetch(request: Request) {
    if (new URL(request.url).pathname === "/up") await pause(n < 0 ? 60_000 : 0)
    const received = request.body === null ? 0 : (await request.text()).length
    let left = 4
    const body = new ReadableStream({
      async pull(controller) {
        await pause(1)
        if (left-- === 0) return controller.close()
        controller.enqueue(new TextEncoder().encode(n + "\\n"))
      },
    })
    return new Response(body, { headers: { "x-number": String(n), "x-received": String(received) } })
  },
}`

const specOf = (source: string, more = {}) => ({
  source,
  limits: { heapMb: 32, startupTimeoutMs: 30_000 },
  ...more,
})

const deploy = (running: KernelProcess, n: number) =>
  call(running, "POST", "/v1/services", {
    tenant: "acme",
    body: { serviceId: "counter", ...specOf(countingSource(n)) },
  })

const put = (running: KernelProcess, source: string, windowMs: number, more = {}) =>
  call(running, "PUT", `/v1/services/counter?rollbackWindowMs=${windowMs}`, {
    tenant: "acme",
    body: specOf(source, more),
  })

const payload = "x".repeat(20_000)

/** The number an answer is from, or what is wrong with it. */
const numberOf = ({ headers, status, text }: Answer, sent: boolean): number | string => {
  if (status !== 200) return `${status}: ${text.slice(0, 200)}`
  const n = headers.get("x-number")
  if (text !== `${n}\n`.repeat(4)) return `mixed: ${n} says ${JSON.stringify(text)}`
  if (headers.get("x-received") !== String(sent ? payload.length : 0)) return "half a request"
  return Number(n)
}

interface Tally {
  answers: number
  /** The number of the last swap that was acknowledged, and of the last that was asked for. */
  acknowledged: number
  asked: number
  readonly wrong: Array<string>
}

const ask = async (running: KernelProcess, tally: Tally, sends: boolean) => {
  const before = tally.acknowledged
  const sent = sends ? { body: payload, headers: { "content-type": "text/plain" } } : {}
  const answer = await call(running, sends ? "POST" : "GET", path, sent)
  const n = numberOf(answer, sends)
  tally.answers += 1
  if (typeof n === "string") tally.wrong.push(n)
  else if (n < before) tally.wrong.push(`${n} answered after ${before} was acknowledged`)
  else if (n > tally.asked) tally.wrong.push(`${n} answered before it was asked for`)
}

const statusOf = (running: KernelProcess) =>
  call(running, "GET", "/v1/services/counter", { tenant: "acme" })

const until = async (what: string, holds: () => Promise<boolean>) => {
  for (let tries = 0; tries < 1500; tries++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.fail(`${what} did not come to pass`)
}

const swapTypes = async (running: KernelProcess) =>
  (await allEvents(running))
    .map((event) => String(event["type"]))
    .filter((type) => type.startsWith("hot_swap"))

describe("hot swap", () => {
  it.live(
    `${clients} clients see ${swaps} swaps without one request dropped or mixed`,
    () =>
      Effect.gen(function* () {
        const running = yield* kernel({ dataDir: yield* dataDirectory })
        const { answers } = yield* Effect.promise(async () => {
          await ready(running)
          assert.strictEqual((await deploy(running, 0)).status, 201)
          const tally: Tally = { answers: 0, acknowledged: 0, asked: 0, wrong: [] }
          const load = { over: false }
          const asking = Array.from({ length: clients }, async (_, client) => {
            for (let n = client; !load.over; n++) {
              await ask(running, tally, n % 3 === 0).catch((error: unknown) => {
                tally.wrong.push(`no answer: ${String(error)}`)
              })
            }
          })
          for (let n = 1; n <= swaps; n++) {
            tally.asked = n
            const back = n % 10 === 0
            const answer = await put(running, countingSource(n), n % 3)
            assert.strictEqual(answer.status, 200, answer.text)
            tally.acknowledged = n
            if (!back) continue
            // There and back again: the clients may see both meanwhile.
            tally.acknowledged = n - 1
            for (const revision of [n, n + 1]) {
              const rolled = await call(
                running,
                "POST",
                "/v1/services/counter/rollback?rollbackWindowMs=0",
                { tenant: "acme" },
              )
              assert.deepInclude(rolled.json, { revision, status: "running" })
            }
            tally.acknowledged = n
          }
          load.over = true
          await Promise.all(asking)
          assert.deepStrictEqual(tally.wrong.slice(0, 10), [])
          assert.isAbove(tally.answers, swaps)
          const { json } = await statusOf(running)
          assert.deepInclude(json, { revision: swaps + 1, status: "running" })
          return tally
        })
        yield* Effect.logInfo(`${swaps} swaps, ${answers} answers, none dropped or mixed`)
      }),
    { timeout: 60_000 + swaps * 5000 },
  )

  const slowStart = "start: () => pause(25_000),"
  const crashing = "start() { setTimeout(() => { throw new Error('too soon') }, 300) },"
  const phases = [
    {
      phase: "starts",
      source: countingSource(1, slowStart),
      windowMs: 0,
      reached: async (running: KernelProcess) =>
        (await swapTypes(running)).includes("hot_swap_started"),
      back: 0,
    },
    {
      phase: "is asked for its health",
      source: countingSource(-1),
      more: { healthPath: "/up" },
      windowMs: 0,
      reached: async (running: KernelProcess) =>
        (await swapTypes(running)).includes("hot_swap_started"),
      back: 0,
    },
    {
      phase: "is in its window",
      source: countingSource(1),
      windowMs: 60_000,
      reached: async (running: KernelProcess) => (await statusOf(running)).json.revision === 2,
      back: 0,
    },
    {
      phase: "is committed",
      source: countingSource(1),
      windowMs: 0,
      reached: async (running: KernelProcess) =>
        (await swapTypes(running)).includes("hot_swap_succeeded"),
      back: 1,
    },
  ]
  for (const { phase, source, more, windowMs, reached, back } of phases) {
    it.live(
      `kill -9 while the new revision ${phase} brings exactly revision ${back + 1} back`,
      () =>
        Effect.gen(function* () {
          const dataDir = yield* dataDirectory
          const first = yield* kernel({ dataDir })
          yield* Effect.promise(async () => {
            await ready(first)
            await deploy(first, 0)
            const swapping = put(first, source, windowMs, more).catch(() => undefined)
            await until(phase, () => reached(first))
            const { text } = await call(first, "GET", path)
            assert.strictEqual(text, `${windowMs > 0 ? 1 : back}\n`.repeat(4))
            await first.end("SIGKILL")
            await swapping
          })
          const second = yield* kernel({ dataDir })
          yield* Effect.promise(async () => {
            await ready(second)
            assert.deepInclude((await statusOf(second)).json, {
              revision: back + 1,
              status: "running",
            })
            assert.strictEqual((await call(second, "GET", path)).text, `${back}\n`.repeat(4))
            const end = back === 0 ? "hot_swap_rolled_back" : "hot_swap_succeeded"
            assert.deepStrictEqual(await swapTypes(second), ["hot_swap_started", end])
            const verified = await call(second, "POST", "/v1/verification")
            assert.deepStrictEqual(verified.json.inconsistencies, [])
            await second.end("SIGKILL")
          })
          const third = yield* kernel({ dataDir })
          yield* Effect.promise(async () => {
            await ready(third)
            assert.strictEqual((await swapTypes(third)).length, 2, "closed once")
            assert.strictEqual((await put(third, countingSource(7), 0)).json.revision, 3)
          })
        }),
    )
  }

  it.live("rolls a revision back that crashes in its window, under load, and says why", () =>
    Effect.gen(function* () {
      const running = yield* kernel({ dataDir: yield* dataDirectory })
      yield* Effect.promise(async () => {
        await ready(running)
        await deploy(running, 0)
        const load = { over: false }
        const late: Array<number | string> = []
        const asking = Array.from({ length: 8 }, async () => {
          while (!load.over) {
            const begun = call(running, "GET", path)
            late.push(
              await begun.then(
                ({ status, text }) => (status === 200 ? 200 : text),
                (error: unknown) => String(error),
              ),
            )
          }
        })
        const refused = await put(running, countingSource(1, crashing), 30_000)
        const afterwards = late.length
        assert.strictEqual(refused.status, 409, refused.text)
        assert.strictEqual(refused.json.type, "urn:solo:problem:swap-rolled-back")
        assert.match(refused.json.detail, /too soon/)
        assert.strictEqual((await call(running, "GET", path)).text, "0\n".repeat(4))
        load.over = true
        await Promise.all(asking)
        // What the crashed one had begun is lost; what came later is not.
        assert.deepStrictEqual(
          late.slice(afterwards + 8).filter((answer) => answer !== 200),
          [],
        )
        const stopping = put(running, countingSource(2), 60_000)
        await until("the window", async () => (await statusOf(running)).json.revision === 3)
        const end = await running.end("SIGTERM")
        assert.deepStrictEqual(end, { code: 0, signal: null })
        assert.strictEqual((await stopping).status, 409, "the shutdown does not wait for it")
      })
    }),
  )
})
