/**
 * The part of the runtime contract that is about requests and responses.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Runtime } from "solo"

import { ask, askOnce, bodyOf, fetching, logUntil, startService } from "./RuntimeClient.ts"

/** Runs the suite against the driver that `layer` provides. */
export const requestContract = (name: string, layer: Layer.Layer<Runtime, unknown>): void => {
  const test = <E>(title: string, body: () => Effect.Effect<void, E, Runtime | Scope.Scope>) =>
    it.live(title, () => Effect.scoped(body()).pipe(Effect.provide(layer)))

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

    const get = { method: "GET", url: "http://greeter/", headers: [], body: null }

    test("a body that fails before its first byte fails the response", () =>
      Effect.gen(function* () {
        for (const body of [
          "pull() { throw new Error('spilled') }",
          "async pull() { await null; throw new Error('spilled') }",
          "start(c) { c.error(new Error('spilled')) }",
        ]) {
          const instance = yield* startService(
            fetching(`return new Response(new ReadableStream({ ${body} }))`),
          )
          const error = yield* Effect.flip(instance.request(get))
          assert.strictEqual(error._tag, "ServiceThrew")
          assert.match(error.message, /spilled/)
        }
      }))

    test("a body that does not begin does not keep back the head", () =>
      Effect.gen(function* () {
        const instance = yield* startService(`let go
          export default { fetch(request) {
            if (request.url.endsWith("/go")) { go(); return new Response() }
            return new Response(new ReadableStream({ async pull(c) {
              await new Promise((resolve) => (go = resolve)); c.enqueue(new Uint8Array(3)); c.close() } }),
              { status: 201 }) } }`)
        const response = yield* instance.request(get)
        assert.strictEqual(response.status, 201)
        yield* ask(instance, { url: "http://greeter/go" })
        assert.deepStrictEqual(yield* Stream.runCollect(response.body!), [new Uint8Array(3)])
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
      "returns a header with a control character": [
        "return new Response('x', { headers: { 'x-odd': 'a\\u0001b' } })",
        /the header "x-odd" is none/,
      ],
      "returns a header with an endless name": [
        "return new Response('x', { headers: [['x'.repeat(257), '']] })",
        /is none that HTTP can carry/,
      ],
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
}
