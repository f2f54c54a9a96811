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
import * as Stream from "effect/Stream"
import { type Instance, Runtime } from "solo"

import { ask, askOnce, bodyOf, fetching, startService } from "./RuntimeClient.ts"

const hello = fetching("return new Response('hello')")

/** Lines of a log up to the first that matches. */
const logUntil = (instance: Instance, pattern: RegExp) =>
  instance.logs.pipe(
    Stream.takeUntil((line) => pattern.test(line.message)),
    Stream.runCollect,
  )

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

  describe(`${name}: requests`, () => {
    test("method, url, headers, body and ctx arrive, status, headers and body come back", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          `export default { async fetch(request, { tenantId, serviceId, revision, env }) {
            const seen = { method: request.method, url: request.url, x: request.headers.get("X-One"),
              cookies: request.headers.get("cookie"), body: await request.text(), tenantId, serviceId, revision, env }
            return Response.json(seen, { status: 201, headers: { "x-two": "2" } }) } }`,
          { env: { COLOUR: "grün" } },
        )
        const answer = yield* ask(instance, {
          method: "PATCH",
          url: "http://greeter/a%20b?c=d",
          headers: [
            ["x-one", "1"],
            ["cookie", "k=v"],
          ],
          body: bodyOf("hé", "llo"),
        })
        assert.strictEqual(answer.status, 201)
        assert.strictEqual(answer.headers["x-two"], "2")
        assert.strictEqual(answer.headers["content-type"], "application/json")
        assert.deepStrictEqual(JSON.parse(answer.text), {
          method: "PATCH",
          url: "http://greeter/a%20b?c=d",
          x: "1",
          cookies: "k=v",
          body: "héllo",
          tenantId: "acme",
          serviceId: "greeter",
          revision: 3,
          env: { COLOUR: "grün" },
        })
      }))

    test("several set-cookie headers stay apart", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          fetching(
            "return new Response(null, { status: 204, headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2']] })",
          ),
        )
        const response = yield* instance.request({
          method: "GET",
          url: "http://greeter/",
          headers: [],
          body: null,
        })
        assert.strictEqual(response.status, 204)
        assert.isNull(response.body)
        assert.deepStrictEqual(response.headers, [
          ["set-cookie", "a=1"],
          ["set-cookie", "b=2"],
        ])
      }))

    test("large bodies go through whole, both ways", () =>
      Effect.gen(function* () {
        const piece = "0123456789abcdef".repeat(8192)
        const answer = yield* askOnce(fetching("return new Response(request.body)"), {
          method: "POST",
          body: bodyOf(...Array.from({ length: 40 }, () => piece)),
        })
        assert.isTrue(answer.text === piece.repeat(40))
      }))

    test("large texts of wide characters go through whole", () =>
      Effect.gen(function* () {
        const answer = yield* askOnce(fetching("return new Response('😀é'.repeat(300000))"))
        assert.isTrue(answer.text === "😀é".repeat(300_000))
      }))

    test("a response is produced only as fast as it is pulled", () =>
      Effect.gen(function* () {
        const instance = yield* startService(`let made = 0
          export default { fetch(request) {
            if (request.url.endsWith("/made")) return new Response(String(made))
            return new Response(new ReadableStream({ pull(c) { made++; c.enqueue(new Uint8Array(65536)) } })) } }`)
        const response = yield* instance.request({
          method: "GET",
          url: "http://greeter/",
          headers: [],
          body: null,
        })
        yield* Stream.runDrain(Stream.take(response.body!, 4))
        const made = Number((yield* ask(instance, { url: "http://greeter/made" })).text)
        assert.isAtMost(made, 16)
        assert.isAtLeast(made, 4)
      }))

    test("a request's body is pulled only as fast as the service reads", () =>
      Effect.gen(function* () {
        let pulled = 0
        const instance = yield* startService(
          fetching("const r = request.body.getReader(); await r.read(); return new Response('ok')"),
        )
        const body = Stream.fromEffect(
          Effect.sync(() => {
            pulled++
            return new Uint8Array(16_384)
          }),
        ).pipe(Stream.forever)
        assert.strictEqual((yield* ask(instance, { method: "POST", body })).text, "ok")
        assert.isAtMost(pulled, 64)
      }))

    test("a request's body that fails, fails in the service", () =>
      Effect.gen(function* () {
        const answer = yield* askOnce(
          fetching(
            "try { await request.text() } catch (error) { return new Response(error.message) }",
          ),
          { method: "POST", body: Stream.concat(bodyOf("a"), Stream.fail("gone")) },
        )
        assert.match(answer.text, /broke off/)
      }))

    test("a response's body that fails, fails the stream", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          askOnce(
            fetching(
              "let n = 0; return new Response(new ReadableStream({ pull(c) { if (n++) throw new Error('spilled'); c.enqueue(new Uint8Array(9)) } }))",
            ),
          ),
        )
        assert.strictEqual(error._tag, "ServiceThrew")
        assert.match(error.message, /spilled/)
      }))

    test("closing the request's scope aborts it in the service", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          fetching(
            "request.signal.addEventListener('abort', () => ctx.log.info('aborted')); ctx.log.info('here'); await new Promise(() => {})",
          ),
        )
        const fiber = yield* Effect.forkChild(Effect.result(ask(instance)))
        yield* logUntil(instance, /here/)
        assert.strictEqual((yield* instance.stats).inFlight, 1)
        yield* Fiber.interrupt(fiber)
        yield* logUntil(instance, /aborted/)
        assert.strictEqual((yield* instance.stats).inFlight, 0)
      }))

    test("leaving a response half read cancels its stream", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          fetching(
            "return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(9)) }, cancel() { ctx.log.info('cancelled') } }))",
          ),
        )
        yield* Effect.scoped(
          Effect.gen(function* () {
            const request = { method: "GET", url: "http://greeter/", headers: [], body: null }
            const response = yield* instance.request(request)
            yield* Stream.runDrain(Stream.take(response.body!, 1))
          }),
        )
        yield* logUntil(instance, /cancelled/)
      }))

    test("requests are answered concurrently, up to a bound", () =>
      Effect.gen(function* () {
        const instance = yield* startService(`let waiting = []
          export default { async fetch(request) {
            if (request.url.endsWith("/go")) { waiting.forEach((go) => go()); return new Response(String(waiting.length)) }
            await new Promise((go) => waiting.push(go)); return new Response("done") } }`)
        const fibers = yield* Effect.forEach(Array.from({ length: 255 }), () =>
          Effect.forkChild(ask(instance), { startImmediately: true }),
        )
        const extra = yield* Effect.forkChild(ask(instance, { url: "http://greeter/wait" }), {
          startImmediately: true,
        })
        const refused = yield* Effect.flip(ask(instance))
        assert.strictEqual(refused._tag, "Overloaded")
        yield* Fiber.interrupt(extra)
        yield* ask(instance, { url: "http://greeter/go" })
        const answers = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
        assert.isTrue(answers.every(({ text }) => text === "done"))
      }))

    const wrong: Readonly<Record<string, readonly [body: string, says: RegExp]>> = {
      "throws an Error": ["throw new Error('oh no')", /oh no/],
      "throws a string": ["throw 'oh no'", /oh no/],
      "throws nothing": ["throw undefined", /undefined/],
      "throws a trap": ["throw new Proxy({}, { get() { throw 1 } })", /./],
      "throws at length": ["throw new Error('z'.repeat(1e6))", /zzz/],
      "returns nothing": ["", /must return a Response.*undefined/],
      "returns a string": ["return 'hello'", /must return a Response.*string/],
      "returns a look-alike": [
        "return { status: 200, headers: new Headers(), body: null, __proto__: Response.prototype }",
        /must return a Response/,
      ],
      "returns Response.error()": ["return Response.error()", /must return a Response/],
      "returns a used Response": [
        "const r = new Response('x'); await r.text(); return r",
        /read already/,
      ],
      "streams texts": [
        "return new Response(new ReadableStream({ start(c) { c.enqueue('x') } }))",
        /Uint8Array/,
      ],
    }
    for (const [what, [body, says]] of Object.entries(wrong))
      test(`a fetch that ${what} has thrown, and the next request is answered`, () =>
        Effect.gen(function* () {
          const instance = yield* startService(
            `export default { async fetch(request) { if (request.url.endsWith("/ok")) return new Response("ok"); ${body} } }`,
          )
          const error = yield* Effect.flip(ask(instance))
          assert.strictEqual(error._tag, "ServiceThrew")
          assert.match(error.message, says)
          assert.isAtMost(error.message.length, 4096)
          assert.strictEqual((yield* ask(instance, { url: "http://greeter/ok" })).text, "ok")
        }))
  })

  describe(`${name}: the end`, () => {
    test("stop lets requests end, then aborts ctx.signal and runs stop", () =>
      Effect.gen(function* () {
        const instance = yield* startService(`let go; export default {
          start(ctx) { ctx.signal.addEventListener("abort", () => ctx.log.info("signal")) },
          async fetch(request, ctx) { ctx.log.info("in"); await new Promise((r) => setTimeout(r, 50)); ctx.log.info("out"); return new Response("kept") },
          async stop(ctx) { await null; ctx.log.info("stop " + ctx.signal.aborted) } }`)
        const fiber = yield* Effect.forkChild(ask(instance))
        yield* logUntil(instance, /in/)
        yield* Effect.all([instance.stop, instance.stop], { concurrency: "unbounded" })
        assert.strictEqual((yield* Fiber.join(fiber)).text, "kept")
        yield* instance.stop
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
        const lines = yield* Stream.runCollect(instance.logs)
        assert.deepStrictEqual(
          lines.map(({ message }) => message),
          ["in", "out", "signal", "stop true"],
        )
        const refused = yield* Effect.flip(ask(instance))
        assert.strictEqual(refused._tag, "NotRunning")
        yield* instance.kill
      }))

    test("a stop that throws is logged, and the instance is stopped", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          "export default { fetch() {}, stop() { throw new Error('stuck') } }",
        )
        yield* instance.stop
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
        const lines = yield* Stream.runCollect(instance.logs)
        assert.match(lines.at(-1)!.message, /stop threw.*stuck/)
      }))

    test("kill ends a loop, and whoever waits is told", () =>
      Effect.gen(function* () {
        const instance = yield* startService(fetching("ctx.log.info('in'); for (;;);"))
        const fiber = yield* Effect.forkChild(Effect.flip(ask(instance)))
        yield* logUntil(instance, /in/)
        yield* instance.kill
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "NotRunning")
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

    test("console and ctx.log are captured with their levels", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          `export default { fetch() {}, start({ log }) {
            log.debug("a"); log.info("b", { c: [1, "2"] }); log.warn("d"); log.error(new Error("e").message); console.log("f %s", 1); console.error("g") } }`,
        )
        yield* instance.stop
        const lines = yield* Stream.runCollect(instance.logs)
        assert.deepStrictEqual(
          lines.map(({ level, message }) => `${level} ${message}`),
          ["debug a", 'info b {c: [1, "2"]}', "warn d", "error e", "info f %s 1", "error g"],
        )
        assert.match(lines[0]!.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
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
        const lines = yield* Stream.runCollect(instance.logs)
        assert.isAtMost(lines.length, 256)
        assert.isTrue(lines.every(({ message }) => message.length <= 8192))
      }))

    test("nothing ambient is there", () =>
      Effect.gen(function* () {
        const absent = [
          "process",
          "require",
          "module",
          "Buffer",
          "fetch",
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
