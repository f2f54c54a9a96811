/**
 * The part of the runtime contract that is about requests out of a service (promises 4, 6 and 10):
 * `ctx.services.fetch`, and what it shares with `fetch`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { OutgoingRequest, OutgoingResponse, Program, Runtime } from "solo"

import { ask, bodyOf, fetching, logUntil, startService } from "./RuntimeClient.ts"

const mebibyte = 1024 * 1024

const piecesOf = (text: string) => Stream.succeed(new TextEncoder().encode(text))

const collected = (body: OutgoingRequest["body"]) =>
  body === null
    ? Effect.succeed("")
    : Effect.map(Stream.runCollect(body), (pieces) => Buffer.concat(pieces).toString())

const json = (value: unknown): OutgoingResponse => ({
  status: 200,
  headers: [
    ["content-type", "application/json"],
    ["set-cookie", "a=1"],
    ["set-cookie", "b=2"],
  ],
  body: piecesOf(JSON.stringify(value)),
})

/** Answers with what it was sent. */
const echo: Program["fetch"] = (request) =>
  Effect.gen(function* () {
    const { body, ...rest } = request
    return json({ ...rest, text: yield* collected(body), hasBody: body !== null })
  })

/** A body without end, and what became of it. */
const endless = () => {
  const told = { sent: 0, isOver: false }
  const body = Stream.fromEffectRepeat(
    Effect.sync(() => {
      told.sent += 65_536
      return new Uint8Array(65_536)
    }),
  ).pipe(Stream.ensuring(Effect.sync(() => void (told.isOver = true))))
  return { told, body }
}

/** A condition that comes to hold while other things go on. */
const until = (holds: () => boolean) =>
  Effect.repeat(Effect.sleep(5), { until: holds }).pipe(Effect.timeout("20 seconds"))

/** Runs the suite against the driver that `layer` provides. */
export const fetchContract = (name: string, layer: Layer.Layer<Runtime, unknown>): void => {
  const test = <E>(title: string, body: () => Effect.Effect<void, E, Runtime | Scope.Scope>) =>
    it.live(title, () => Effect.scoped(body()).pipe(Effect.provide(layer)))

  const told = Effect.fnUntraced(function* (
    body: string,
    fetch: Program["fetch"] = echo,
    request?: Parameters<typeof ask>[1],
  ) {
    const instance = yield* startService(fetching(body), { fetch })
    const { status, text } = yield* ask(instance, request)
    assert.strictEqual(status, 200, text)
    return JSON.parse(text)
  })

  describe(`${name}: requests out of a service`, () => {
    test("a path, a method, headers and a body arrive, and the answer comes back", () =>
      Effect.gen(function* () {
        const answer = yield* told(`
          const response = await ctx.services.fetch("b_2", "/x?y=ü#z", { method: "post", body: "é", headers: { "X-A": "1" } })
          return Response.json([response.status, response.ok, response.url, response.headers.getSetCookie(), await response.json()])`)
        assert.deepStrictEqual(answer, [
          200,
          true,
          "http://service/x?y=%C3%BC",
          ["a=1", "b=2"],
          {
            to: "b_2",
            method: "POST",
            url: "http://service/x?y=%C3%BC",
            headers: [
              ["x-a", "1"],
              ["content-type", "text/plain;charset=UTF-8"],
            ],
            bodyBytes: 2,
            text: "é",
            hasBody: true,
          },
        ])
      }))

    test("a request that came in can be handed on, body and all", () =>
      Effect.gen(function* () {
        const answer = yield* told("return ctx.services.fetch('b', request)", echo, {
          method: "PUT",
          url: "http://host/p?q",
          headers: [["x-b", "2"]],
          body: bodyOf("on", "ward"),
        })
        const { headers, method, text, url } = answer
        assert.deepStrictEqual(
          { headers, method, text, url },
          { headers: [["x-b", "2"]], method: "PUT", text: "onward", url: "http://host/p?q" },
        )
      }))

    test("what the kernel refuses is a TypeError that says why", () =>
      Effect.gen(function* () {
        const answer = yield* told(
          `const told = await Promise.allSettled(["fail", "die"].map((id) => ctx.services.fetch(id, "/")))
           return Response.json(told.map(({ reason }) => [reason instanceof TypeError, reason.message]))`,
          ({ to }) =>
            to === "die" ? Effect.die(new Error("secret")) : Effect.fail({ message: "not you" }),
        )
        assert.deepStrictEqual(answer, [
          [true, "not you"],
          [true, "the kernel could not carry the request"],
        ])
      }))

    test("hostile arguments are refused, and nothing goes out", () =>
      Effect.gen(function* () {
        let calls = 0
        const answer = yield* told(
          `const trap = new Proxy({}, { get() { throw new Error("trap") } })
           const tries = [
            [7, "/"], ["", "/"], ["x".repeat(129), "/"], [trap, "/"], ["b"], ["b", "x"], ["b", "ftp://a/"],
            ["b", "http://u:p@a/"], ["b", "/", { method: "CONNECT" }], ["b", "/", { method: "a b" }],
            ["b", "/", { headers: { "a": "b\\r\\nc: d" } }], ["b", "/", { headers: { "a b": "c" } }],
            ["b", "/", { body: "x" }], ["b", "/", { signal: { aborted: false } }], ["b", "/", trap],
            ["b", "/", { get method() { throw new Error("getter") } }], ["b", "/" + "x".repeat(17000)],
            ["b", "/", { method: "POST", body: { toString() { throw new Error("body") } } }],
            ["b", "/", { redirect: "sideways" }], ["b", { toString() { throw new Error("url") } }],
            ["b", "/", { signal: AbortSignal.abort(new Error("aborted")) }] ]
           const told = await Promise.allSettled(tries.map((args) => ctx.services.fetch(...args)))
           return Response.json(told.map(({ status }) => status))`,
          (request) => {
            calls++
            return echo(request)
          },
        )
        assert.deepStrictEqual(
          answer,
          answer.map(() => "rejected"),
        )
        assert.strictEqual(calls, 0)
      }))

    test("a class of the service's own changes nothing about what goes out", () =>
      Effect.gen(function* () {
        const answer = yield* told(`
          class Odd extends Request { get url() { return "http://odd/" } get method() { return "TRACE" } get headers() { return { evil: 1 } } }
          Map.prototype.get = Map.prototype.set = () => { throw new Error("mine") }
          const response = await ctx.services.fetch("b", new Odd("http://plain/"))
          return new Response(await response.text())`)
        assert.deepStrictEqual(
          [answer.url, answer.method, answer.headers],
          ["http://plain/", "GET", []],
        )
      }))

    test("a long body passes both ways whole", () =>
      Effect.gen(function* () {
        const answer = yield* told(
          `const body = new Uint8Array(3 * ${mebibyte}).map((_, at) => at % 251)
           const response = await ctx.services.fetch("b", "/", { method: "POST", body })
           const back = await response.bytes()
           return Response.json([back.length, back.every((byte, at) => byte === at % 251)])`,
          ({ body }) => Effect.succeed({ status: 200, headers: [], body }),
        )
        assert.deepStrictEqual(answer, [3 * mebibyte, true])
      }))

    test("a response is pulled only as fast as the service reads, and ends when it cancels", () =>
      Effect.gen(function* () {
        const { body, told: pulled } = endless()
        const answer = yield* told(
          `const response = await ctx.services.fetch("b", "/")
           const reader = response.body.getReader()
           for (let read = 0; read < ${mebibyte};) read += (await reader.read()).value.length
           await new Promise((resolve) => setTimeout(resolve, 50))
           await reader.cancel()
           return Response.json("read")`,
          () => Effect.succeed({ status: 200, headers: [], body }),
        )
        assert.strictEqual(answer, "read")
        yield* until(() => pulled.isOver)
        assert.isAtLeast(pulled.sent, mebibyte)
        assert.isAtMost(pulled.sent, 2 * mebibyte)
      }))

    test("a stream is sent only as fast as it is taken", () =>
      Effect.gen(function* () {
        const answer = yield* told(
          `let made = 0
           const body = new ReadableStream({ pull(c) { made += 1024; c.enqueue(new Uint8Array(1024)) } })
           const response = await ctx.services.fetch("b", "/", { method: "POST", body })
           await new Promise((resolve) => setTimeout(resolve, 50))
           return Response.json(made)`,
          ({ body }) =>
            Effect.as(Stream.runDrain(Stream.take(body!, 1)), {
              status: 200,
              headers: [],
              body: Stream.never,
            } satisfies OutgoingResponse),
        )
        assert.isAtMost(answer, 256 * 1024)
      }))

    test("a stream that breaks is the error of the fetch, and the kernel sees it break", () =>
      Effect.gen(function* () {
        const broke = yield* Deferred.make<string>()
        const answer = yield* told(
          `const body = new ReadableStream({ start(c) { c.enqueue(new Uint8Array(1)) }, pull() { throw new Error("mine") } })
           try { await ctx.services.fetch("b", "/", { method: "POST", body }) } catch (error) { return Response.json(error.message) }`,
          ({ body }) =>
            Stream.runDrain(body!).pipe(
              Effect.onExit((exit) => Deferred.succeed(broke, exit._tag)),
              Effect.as(json("late")),
            ),
        )
        assert.strictEqual(answer, "mine")
        assert.strictEqual(yield* Deferred.await(broke), "Failure")
      }))

    test("an answer that breaks off is a TypeError of who reads it", () =>
      Effect.gen(function* () {
        const answer = yield* told(
          `const response = await ctx.services.fetch("b", "/")
           try { await response.text() } catch (error) { return Response.json([error instanceof TypeError, error.message]) }`,
          () =>
            Effect.succeed({
              status: 200,
              headers: [],
              body: Stream.concat(piecesOf("some"), Stream.fail({ message: "the line was cut" })),
            }),
        )
        assert.deepStrictEqual(answer, [true, "the line was cut"])
      }))

    for (const [what, made] of [
      ["a signal", "AbortSignal.timeout(20)"],
      ["a controller", "abortSoon()"],
    ] as const)
      test(`${what} gives up a request that hangs`, () =>
        Effect.gen(function* () {
          let isOver = false
          const answer = yield* told(
            `const abortSoon = () => { const c = new AbortController(); setTimeout(() => c.abort(), 20); return c.signal }
             try { await ctx.services.fetch("b", "/", { signal: ${made} }) } catch (error) { return Response.json(error instanceof DOMException) }`,
            () =>
              Effect.ensuring(
                Effect.never,
                Effect.sync(() => void (isOver = true)),
              ),
          )
          assert.isTrue(answer)
          yield* until(() => isOver)
        }))

    test("a signal gives up a response under way", () =>
      Effect.gen(function* () {
        const { body, told: pulled } = endless()
        const answer = yield* told(
          `const controller = new AbortController()
           const response = await ctx.services.fetch("b", "/", { signal: controller.signal })
           const reader = response.body.getReader()
           await reader.read()
           controller.abort(new Error("enough"))
           try { for (;;) await reader.read() } catch (error) { return Response.json(error.message) }`,
          () => Effect.succeed({ status: 200, headers: [], body }),
        )
        assert.strictEqual(answer, "enough")
        yield* until(() => pulled.isOver)
      }))

    test("of a hundred at once 64 go out, and after them others", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const instance = yield* startService(
          fetching(`const all = Array.from({ length: 100 }, () => ctx.services.fetch("b", "/").then((r) => r.text()))
            await Promise.allSettled(all.slice(64))
            ctx.log.info("refused")
            const told = await Promise.allSettled([...all, Promise.all(all.slice(0, 64)).then(() => ctx.services.fetch("b", "/"))])
            return Response.json([told.filter(({ status }) => status === "fulfilled").length, told[99].reason.message])`),
          { fetch: (request) => Effect.andThen(Deferred.await(gate), echo(request)) },
        )
        const fiber = yield* Effect.forkChild(ask(instance))
        yield* logUntil(instance, /refused/)
        yield* Deferred.succeed(gate, undefined)
        const [kept, message] = JSON.parse((yield* Fiber.join(fiber)).text)
        assert.strictEqual(kept, 65)
        assert.match(message, /at most 64 requests may be under way at once/)
      }))

    test("a thousand aborted requests leave room for more", () =>
      Effect.gen(function* () {
        const answer = yield* told(
          `for (let n = 0; n < 1000; n++) { const c = new AbortController(); const p = ctx.services.fetch("hang", "/", { signal: c.signal }); c.abort(); await p.catch(() => {}) }
           return Response.json((await ctx.services.fetch("b", "/")).status)`,
          (request) => (request.to === "hang" ? Effect.never : echo(request)),
        )
        assert.strictEqual(answer, 200)
      }))

    test("what is under way ends with the instance", () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        let isOver = false
        const instance = yield* startService(fetching("return ctx.services.fetch('b', '/')"), {
          fetch: () =>
            Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.ensuring(Effect.sync(() => void (isOver = true))),
            ),
        }).pipe(
          Effect.tap((started) => Effect.forkChild(Effect.result(ask(started)))),
          Effect.tap(() => Deferred.await(begun)),
          Effect.scoped,
        )
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
        yield* until(() => isOver)
      }))

    test("ctx.services cannot be changed", () =>
      Effect.gen(function* () {
        const answer = yield* told(
          "return Response.json([Object.keys(ctx.services), Object.isFrozen(ctx.services), Object.isFrozen(ctx.services.fetch)])",
        )
        assert.deepStrictEqual(answer, [["fetch"], true, true])
      }))
  })
}
