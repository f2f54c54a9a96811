/**
 * What every runtime driver promises (design §5: promises 2, 4, 6 and 10), as a suite to run
 * against each of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Runtime } from "solo"

import { ask, askOnce, fetching, logUntil, startService } from "./RuntimeClient.ts"
import { fetchContract } from "./RuntimeFetch.ts"
import { fetchWebContract } from "./RuntimeFetchWeb.ts"
import { requestContract } from "./RuntimeRequests.ts"
import { scheduledContract } from "./RuntimeScheduled.ts"
import { secretsContract } from "./RuntimeSecrets.ts"
import { storeContract } from "./RuntimeStore.ts"

const hello = fetching("return new Response('hello')")

/** Runs the suite against the driver that `layer` provides. */
export const runtimeContract = (name: string, layer: Layer.Layer<Runtime, unknown>): void => {
  const test = <E>(title: string, body: () => Effect.Effect<void, E, Runtime | Scope.Scope>) =>
    it.live(title, () => Effect.scoped(body()).pipe(Effect.provide(layer)))

  describe(`${name}: start`, () => {
    test("says what separates services", () =>
      Effect.map(Runtime, ({ driver, isolation, walls }) => {
        assert.match(name, new RegExp(`^${driver}\\b`))
        assert.isAbove(isolation.length, 20)
        assert.isTrue(walls.some(({ stands }) => stands))
      }))

    const broken: Readonly<Record<string, readonly [code: string, says: RegExp]>> = {
      "a start that rejects": [
        "export default { fetch() {}, async start() { throw new Error('no luck') } }",
        /no luck/,
      ],
      "a start that throws": [
        "export default { fetch() {}, start() { throw 'no luck' } }",
        /no luck/,
      ],
      "a module that throws": ["throw new Error('no luck'); export default {}", /no luck/],
      "a module that does not parse": ["export default {", /SyntaxError|Unexpected/],
      "no default export": ["export const fetch = () => {}", /export default/],
      "a function as default export": ["export default () => {}", /is a function.*export default/],
      "no fetch": ["export default { start() {} }", /no method fetch/],
      "a start that is no function": ["export default { fetch() {}, start: 1 }", /start must be/],
      "an import": ["import fs from 'node:fs'; export default { fetch() {} }", /one file/],
      "a hostile error": [
        "throw new Proxy({}, { get() { throw new Error('x') } }); export default {}",
        /./,
      ],
      "a huge error": ["throw new Error('y'.repeat(1e6)); export default {}", /y/],
      "a heap that is too small": [
        "const a = []; for (;;) a.push(new Array(1e5).fill(1.5)); export default {}",
        /out of memory|heap/,
      ],
    }
    for (const [what, [code, says]] of Object.entries(broken))
      test(`fails for ${what}`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(startService(code))
          assert.strictEqual(error._tag, "StartFailed")
          assert.match(error.message, says)
          assert.isAtMost(error.message.length, 4096)
        }))

    test("what a service says before its start fails is heard", () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const code = `console.log("loading"); export default { fetch() {},
          start({ log }) { log.warn("no such table"); throw new Error("no luck") } }`
        yield* Effect.flip(startService(code, { log: ({ message }) => void lines.push(message) }))
        assert.deepStrictEqual(lines, ["loading", "no such table"])
      }))

    for (const [what, code] of [
      ["loops while it loads", "for (;;); export default {}"],
      ["loops in start", "export default { fetch() {}, start() { for (;;); } }"],
      [
        "never returns from start",
        "export default { fetch() {}, start: () => new Promise(() => {}) }",
      ],
    ] as const)
      test(`interruption ends a service that ${what}`, () =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(startService(code))
          yield* Effect.sleep(100)
          yield* Fiber.interrupt(fiber)
          const exit = yield* Fiber.await(fiber)
          assert.isTrue(Exit.isFailure(exit))
          assert.strictEqual((yield* askOnce(hello)).text, "hello")
        }))
  })

  requestContract(name, layer)
  secretsContract(name, layer)
  storeContract(name, layer)
  fetchContract(name, layer)
  fetchWebContract(name, layer)
  scheduledContract(name, layer)

  describe(`${name}: the end`, () => {
    test("stop lets requests end, then aborts ctx.signal and runs stop", () =>
      Effect.gen(function* () {
        const instance = yield* startService(`let go; export default {
          start(ctx) { ctx.signal.addEventListener("abort", () => ctx.log.info("signal")) },
          async fetch(request, ctx) { ctx.log.info("in"); await new Promise((r) => setTimeout(r, 50)); ctx.log.info("out"); return new Response("kept") },
          async stop(ctx) { await null; ctx.log.info("stop " + ctx.signal.aborted) } }`)
        const fiber = yield* Effect.forkChild(ask(instance))
        yield* logUntil(instance, /in/)
        const stopping = yield* Effect.forkChild(
          Effect.all([instance.stop, instance.stop], { concurrency: "unbounded" }),
          { startImmediately: true },
        )
        // Another instance may be given it: nothing of it came here.
        const late = yield* Effect.flip(ask(instance))
        assert.deepInclude(late, { _tag: "NotRunning", undelivered: true })
        yield* Fiber.join(stopping)
        assert.strictEqual((yield* Fiber.join(fiber)).text, "kept")
        yield* instance.stop
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
        const { lines } = instance
        assert.deepStrictEqual(
          lines.map(({ message }) => message),
          ["in", "out", "signal", "stop true"],
        )
        const refused = yield* Effect.flip(ask(instance))
        assert.deepInclude(refused, { _tag: "NotRunning", undelivered: true })
        yield* instance.kill
      }))

    test("a stop that throws is logged, and the instance is stopped", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          "export default { fetch() {}, stop() { throw new Error('stuck') } }",
        )
        yield* instance.stop
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
        const { lines } = instance
        assert.match(lines.at(-1)!.message, /stop threw.*stuck/)
      }))

    test("kill ends a loop, and whoever waits is told", () =>
      Effect.gen(function* () {
        const instance = yield* startService(fetching("ctx.log.info('in'); for (;;);"))
        const fiber = yield* Effect.forkChild(Effect.flip(ask(instance)))
        yield* logUntil(instance, /in/)
        yield* instance.kill
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error._tag, "NotRunning")
        // The service has seen it, so nobody may send it again.
        assert.isFalse(error._tag === "NotRunning" && error.undelivered === true)
        yield* instance.kill
      }))

    test("a stop that never returns can be interrupted and killed", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          "export default { fetch() {}, stop(ctx) { ctx.log.info('stopping'); for (;;); } }",
        )
        const fiber = yield* Effect.forkChild(instance.stop)
        yield* logUntil(instance, /stopping/)
        yield* Fiber.interrupt(fiber)
        yield* instance.kill
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
      }))

    test("the end of the scope ends the instance", () =>
      Effect.gen(function* () {
        const instance = yield* Effect.scoped(startService(hello))
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
      }))

    const crashes: Readonly<Record<string, readonly [body: string, says: RegExp]>> = {
      "a rejection nobody handles": ["Promise.reject(new Error('lost'))", /lost/],
      "an error in a timer": ["setTimeout(() => { throw new Error('lost') })", /lost/],
      "an error in a microtask": ["queueMicrotask(() => { throw new Error('lost') })", /lost/],
      "a hostile rejection": [
        "Promise.reject(new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } }))",
        /./,
      ],
      "too much memory": ["const a = []; for (;;) a.push(new Array(1e5).fill(1.5))", /memory/],
    }
    for (const [what, [body, says]] of Object.entries(crashes))
      test(`${what} is a crash of this instance alone`, () =>
        Effect.gen(function* () {
          const neighbour = yield* startService(hello)
          const instance = yield* startService(
            fetching(`setTimeout(() => { ${body} }, 1); await new Promise(() => {})`),
          )
          const error = yield* Effect.flip(ask(instance))
          assert.strictEqual(error._tag, "NotRunning")
          const exit = yield* instance.exit
          assert.strictEqual(exit._tag, "Crashed")
          assert.match(exit._tag === "Crashed" ? exit.reason : "", says)
          assert.strictEqual((yield* ask(neighbour)).text, "hello")
        }))
  })

  describe(`${name}: figures and logs`, () => {
    test("memory and processor time are real", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          fetching("globalThis.kept = new Uint8Array(2e7).fill(1); return new Response('x')"),
        )
        const before = yield* instance.stats
        assert.isAbove(before.memoryBytes, 1e6)
        yield* ask(instance)
        const after = yield* instance.stats
        assert.isAbove(after.memoryBytes, before.memoryBytes + 1.5e7)
        assert.isAtLeast(after.cpuMs, before.cpuMs)
        assert.strictEqual(after.inFlight, 0)
      }))

    test("a value that cannot be shown costs a log line nothing else", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          `export default { fetch() {}, start({ log }) {
            log.info("getter", { get a() { throw new Error("mine") } }, "after")
            log.warn("date", new Date(NaN), [new Date(0)]) } }`,
        )
        yield* instance.stop
        const { lines } = instance
        assert.deepStrictEqual(
          lines.map(({ message }) => message),
          [
            "getter [a value that cannot be shown] after",
            "date Invalid Date [1970-01-01T00:00:00.000Z]",
          ],
        )
      }))

    test("console and ctx.log are captured with their levels", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          `export default { fetch() {}, start({ log }) {
            log.debug("a"); log.info("b", 1, { c: [1, "2"], d: { e: null } }); console.info("b", { c: [1, "2"] }); log.warn("d"); log.error(new Error("e").message); console.log("f %s", 1); console.error("g") } }`,
        )
        yield* instance.stop
        const { lines } = instance
        assert.deepStrictEqual(
          lines.map(({ fields, level, message }) =>
            [level, message, ...(fields === undefined ? [] : [JSON.stringify(fields)])].join(" "),
          ),
          [
            "debug a",
            'info b 1 {"c":[1,"2"],"d":{"e":null}}',
            'info b {c: [1, "2"]}',
            "warn d",
            "error e",
            "info f %s 1",
            "error g",
          ],
        )
        assert.match(lines[0]!.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      }))

    test("fields are plain JSON within bounds; everything else stays in the text", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          `export default { fetch() {}, start({ log }) {
            const loop = {}; loop.loop = loop
            let deep = {}; for (let n = 0; n < 50; n++) deep = { deep }
            for (const value of [{}, { a: "\\n\\u001b[31m\\ud800" }, Object.create(null), [1], loop, { n: 1n },
              { toJSON() { throw new Error("no") } }, { toJSON: () => "text" }, { big: "x".repeat(5000) },
              new Map(), new Proxy({}, { getPrototypeOf() { throw 1 } }), deep, JSON.parse('{"__proto__":{"x":1}}')])
              log.info("m\\n", value)
            log.info({ alone: 1 })
            JSON.stringify = () => "[]"; Object.getPrototypeOf = null
            log.info("m", { still: 1 }) } }`,
        )
        yield* instance.stop
        const { lines } = instance
        const text = (fields: unknown) => JSON.stringify(fields)
        assert.deepStrictEqual(
          lines.flatMap(({ fields, message }) =>
            fields === undefined ? [] : [message + text(fields)],
          ),
          [
            "m\n{}",
            'm\n{"a":"\\n\\u001b[31m\\ud800"}',
            "m\n{}",
            'm\n{"__proto__":{"x":1}}',
            'm{"still":1}',
          ],
        )
        assert.strictEqual(lines.length, 15)
        assert.isTrue(lines.every(({ message }) => message.length <= 8192))
      }))

    test("a flood of lines is bounded, and the service goes on", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          fetching(
            "for (let i = 0; i < 50000; i++) console.log('x'.repeat(20000)); return new Response('ok')",
          ),
        )
        assert.strictEqual((yield* ask(instance)).text, "ok")
        yield* instance.stop
        const { lines } = instance
        assert.isAtMost(lines.length, 5000)
        assert.isTrue(lines.every(({ message }) => message.length <= 8192))
      }))

    test("nothing ambient is there", () =>
      Effect.gen(function* () {
        const absent = [
          "process",
          "require",
          "module",
          "Buffer",
          "WebSocket",
          "global",
          "setImmediate",
          "WebAssembly",
          "SharedArrayBuffer",
          "Atomics",
          "Worker",
          "navigator",
          "localStorage",
        ]
        const { text } = yield* askOnce(
          fetching(
            `return Response.json(${JSON.stringify(absent)}.filter((name) => name in globalThis))`,
          ),
        )
        assert.deepStrictEqual(JSON.parse(text), [])
      }))
  })
}
