/**
 * A service that breaks a limit is ended, with a reason that names the limit, and its neighbours
 * go on (promises 4 and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Runtime } from "solo"

import { ask, fetching, logUntil, programOf, startService } from "../../contract/RuntimeClient.ts"
import { sharedBoxes } from "./Shared.ts"

const impatient = sharedBoxes({ stallMs: 300, cpuWindowMs: 1000 })
const small = sharedBoxes({ outsideHeapMb: 32, responseMb: 2 })
const hello = fetching("return new Response('hello')")

const test = <E>(
  title: string,
  body: () => Effect.Effect<void, E, Runtime | Scope.Scope>,
  driver = small,
) => it.live(title, () => Effect.scoped(body()).pipe(Effect.provide(driver)))

describe("limits", () => {
  for (const [what, code] of [
    ["a loop", "for (;;);"],
    [
      "an endless chain of promises",
      "const go = () => { Promise.resolve().then(go) }; go(); await new Promise(() => {})",
    ],
    ["a regular expression that backtracks", "/^(a+)+$/.test('a'.repeat(60) + 'b');"],
  ] as const)
    test(
      `${what} ends as a stall`,
      () =>
        Effect.gen(function* () {
          const neighbour = yield* startService(hello)
          const instance = yield* startService(fetching(code))
          yield* Effect.forkChild(Effect.exit(ask(instance)))
          const exit = yield* instance.exit
          assert.deepStrictEqual(exit._tag === "Crashed" && exit.violation, {
            limit: "stallMs",
            value: 300,
          })
          assert.match(exit._tag === "Crashed" ? exit.reason : "", /stalled.*300 ms/)
          assert.strictEqual((yield* ask(neighbour)).text, "hello")
        }),
      impatient,
    )

  test(
    "one that is busier than it may be is ended, however often its event loop turns",
    () =>
      Effect.gen(function* () {
        const neighbour = yield* startService(hello)
        const { limits } = programOf("none")
        const instance = yield* startService(
          `setInterval(() => { const end = Date.now() + 20; while (Date.now() < end); }, 5)
           ${hello}`,
          { limits: { ...limits, cpuPercent: 1 } },
        )
        const exit = yield* instance.exit
        assert.deepStrictEqual(exit._tag === "Crashed" && exit.violation, {
          limit: "cpuPercent",
          value: 1,
        })
        assert.match(exit._tag === "Crashed" ? exit.reason : "", /more than 1 % .* 1000 ms/)
        assert.strictEqual((yield* ask(neighbour)).text, "hello")
      }),
    impatient,
  )

  test("a heap that grows beyond its limit is named", () =>
    Effect.gen(function* () {
      const instance = yield* startService(
        fetching("const a = []; for (;;) a.push(new Array(1e4).fill(1.5))"),
      )
      yield* Effect.forkChild(Effect.exit(ask(instance)))
      const exit = yield* instance.exit
      assert.deepStrictEqual(exit._tag === "Crashed" && exit.violation, {
        limit: "heapMb",
        value: 32,
      })
    }))

  test("buffers beyond the memory limit are refused, and the service goes on", () =>
    Effect.gen(function* () {
      const instance = yield* startService(
        `const kept = []; export default { fetch() {
          try { for (;;) kept.push(new Uint8Array(8e6).fill(1)) }
          catch (error) { const n = kept.length; kept.length = 0; return Response.json([n, error.name]) } } }`,
      )
      const [count, name] = JSON.parse((yield* ask(instance)).text) as [number, string]
      assert.strictEqual(name, "RangeError")
      assert.isAtMost(count, 32)
    }))

  test("a response beyond its size fails", () =>
    Effect.gen(function* () {
      const instance = yield* startService(
        fetching(
          "return new Response(request.url.endsWith('/big') ? 'x'.repeat(3e6) : 'x'.repeat(2e6))",
        ),
      )
      assert.strictEqual((yield* ask(instance)).text.length, 2e6)
      const error = yield* Effect.flip(ask(instance, { url: "http://greeter/big" }))
      assert.match(error.message, /larger than 2 MiB/)
    }))

  test(
    "an idle service is left alone",
    () =>
      Effect.gen(function* () {
        const instance = yield* startService(hello)
        yield* Effect.sleep(800)
        assert.strictEqual((yield* ask(instance)).text, "hello")
      }),
    impatient,
  )
})

describe("the pool", () => {
  test("hands out each box once, to services of any tenant, and refills", () =>
    Effect.gen(function* () {
      const runtime = yield* Runtime
      const count = `let n = 0; export default { fetch() { return new Response(String(++n)) } }`
      const { limits } = programOf(count)
      const program = programOf(count, { limits: { ...limits, heapMb: 64 } })
      const instances = yield* Effect.forEach(
        Array.from({ length: 5 }),
        () => runtime.start(program),
        { concurrency: 2 },
      )
      for (const instance of instances) assert.strictEqual((yield* ask(instance)).text, "1")
    }))

  test("a service of a warm box has its own name and log", () =>
    Effect.gen(function* () {
      const code = `export default { start({ log, env }) { log.info(env.WHO) }, fetch() {} }`
      const { limits } = programOf(code)
      const [a, b] = yield* Effect.forEach(["a", "b"], (WHO) =>
        startService(code, { env: { WHO }, limits: { ...limits, heapMb: 64 } }),
      )
      for (const [instance, who] of [
        [a!, "a"],
        [b!, "b"],
      ] as const) {
        const [line] = yield* logUntil(instance, /./)
        assert.strictEqual(line?.message, who)
      }
    }))
})
