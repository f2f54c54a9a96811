/**
 * The part of the runtime contract that is about the global `fetch`: the web's, as far as a service
 * without a document needs it (promise 6: every hop is asked for anew).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { OutgoingRequest, Program, Runtime } from "solo"

import { ask, fetching, startService } from "./RuntimeClient.ts"

/** A network: what each URL answers, a redirect as `[status, location]`. */
const web: Readonly<Record<string, string | readonly [number, string]>> = {
  "http://a/": "home",
  "http://a/301": [301, "/"],
  "http://a/302": [302, "http://b/#part"],
  "http://a/303": [303, "/"],
  "http://a/307": [307, "/"],
  "http://a/308": [308, "http://b/"],
  "http://a/loop": [302, "loop"],
  "http://a/file": [302, "file:///etc/passwd"],
  "http://a/user": [302, "http://user:password@b/"],
  "http://a/inside": [302, "http://169.254.169.254/"],
  "http://a/back": [302, "http://b/to-a"],
  "http://b/to-a": [302, "http://a/"],
  "http://b/": "elsewhere",
}

const serving =
  (seen: Array<OutgoingRequest & { readonly text: string }>): Program["fetch"] =>
  (request) =>
    Effect.gen(function* () {
      const { body, url } = request
      const pieces = body === null ? [] : yield* Stream.runCollect(body)
      seen.push({ ...request, text: Buffer.concat(pieces).toString() })
      const page = web[url]
      if (page === undefined) return yield* Effect.fail({ message: `${url} is not for you` })
      if (typeof page === "string")
        return { status: 200, headers: [], body: Stream.succeed(new TextEncoder().encode(page)) }
      return { status: page[0], headers: [["location", page[1]]], body: null }
    })

/** Runs the suite against the driver that `layer` provides. */
export const fetchWebContract = (name: string, layer: Layer.Layer<Runtime, unknown>): void => {
  const test = <E>(title: string, body: () => Effect.Effect<void, E, Runtime | Scope.Scope>) =>
    it.live(title, () => Effect.scoped(body()).pipe(Effect.provide(layer)))

  const told = Effect.fnUntraced(function* (body: string) {
    const seen: Array<OutgoingRequest & { readonly text: string }> = []
    const instance = yield* startService(fetching(body), { fetch: serving(seen) })
    const { status, text } = yield* ask(instance)
    assert.strictEqual(status, 200, text)
    return { answer: JSON.parse(text), seen }
  })
  const hops = (seen: ReadonlyArray<OutgoingRequest>) =>
    seen.map(({ method, to, url }) => `${String(to)} ${method} ${url}`)

  describe(`${name}: fetch`, () => {
    test("goes to the network, and follows redirects hop by hop", () =>
      Effect.gen(function* () {
        const { answer, seen } = yield* told(`
          const response = await fetch("http://a/302")
          return Response.json([response.url, response.redirected, response.status, await response.text()])`)
        assert.deepStrictEqual(answer, ["http://b/", true, 200, "elsewhere"])
        assert.deepStrictEqual(hops(seen), ["null GET http://a/302", "null GET http://b/"])
      }))

    for (const [path, method, expected] of [
      ["301", "POST", "GET"],
      ["302", "POST", "GET"],
      ["303", "PUT", "GET"],
      ["301", "PUT", "PUT"],
      ["307", "POST", "POST"],
      ["308", "POST", "POST"],
    ] as const)
      test(`${path} after ${method} is a ${expected}, with the body or without`, () =>
        Effect.gen(function* () {
          const { seen } = yield* told(`
            const headers = { "content-type": "text/x", "x-kept": "1" }
            const response = await fetch("http://a/${path}", { method: "${method}", body: "sent", headers })
            return Response.json(await response.text())`)
          const { headers, method: second, text } = seen[1]!
          assert.strictEqual(second, expected)
          assert.strictEqual(text, expected === "GET" ? "" : "sent")
          const names = headers.map(([header]) => header)
          assert.deepStrictEqual(
            names,
            expected === "GET" ? ["x-kept"] : ["content-type", "x-kept"],
          )
        }))

    test("credentials stay at their origin, also when the way leads back", () =>
      Effect.gen(function* () {
        const { seen } = yield* told(`
          const headers = { authorization: "a", cookie: "b", "proxy-authorization": "c", "x-kept": "1" }
          await fetch("http://a/301", { headers })
          await fetch("http://a/back", { headers })
          return Response.json(null)`)
        const counts = seen.map(({ headers }) => headers.length)
        assert.deepStrictEqual(counts, [4, 4, 4, 1, 1])
      }))

    const refused: Readonly<Record<string, readonly [act: string, says: RegExp, hops: number]>> = {
      "a loop": ["fetch('http://a/loop')", /more than 20 redirects/, 21],
      "a file": ["fetch('http://a/file')", /only http: and https:/, 1],
      "a user": ["fetch('http://a/user')", /user or a password/, 1],
      "what the kernel refuses": ["fetch('http://a/inside')", /not for you/, 2],
      "an error mode": ["fetch('http://a/301', { redirect: 'error' })", /redirect is error/, 1],
      "a stream to be sent again": [
        "fetch('http://a/307', { method: 'POST', body: new Response('x').body })",
        /a stream is sent only once/,
        1,
      ],
      "a relative URL": ["fetch('/x')", /URL/, 0],
      "no URL": ["fetch()", /URL/, 0],
      "a data URL": ["fetch('data:,x')", /only http: and https:/, 0],
      "a file URL": ["fetch('file:///etc/passwd')", /only http: and https:/, 0],
      "a password": ["fetch('http://user:password@a/')", /no user name/, 0],
    }
    for (const [what, [act, says, count]] of Object.entries(refused))
      test(`${what} is a TypeError`, () =>
        Effect.gen(function* () {
          const { answer, seen } = yield* told(
            `try { await ${act}; return Response.json("went") } catch (error) { return Response.json([error instanceof TypeError, error.message]) }`,
          )
          assert.strictEqual(answer[0], true, JSON.stringify(answer))
          assert.match(answer[1], says)
          assert.strictEqual(seen.length, count)
        }))

    test("hands a redirect over where that is asked for", () =>
      Effect.gen(function* () {
        const { answer } = yield* told(`
          const response = await fetch(new Request("http://a/302", { redirect: "manual" }))
          return Response.json([response.status, response.headers.get("location"), response.redirected])`)
        assert.deepStrictEqual(answer, [302, "http://b/#part", false])
      }))

    test("a URL object, a Request and a Request with other terms do", () =>
      Effect.gen(function* () {
        const { seen } = yield* told(`
          await fetch(new URL("http://a/"))
          await fetch(new Request("http://a/", { method: "POST", body: "one" }))
          await fetch(new Request("http://a/", { headers: { x: "1" } }), { method: "POST", body: new Uint8Array([50]) })
          return Response.json(null)`)
        assert.deepStrictEqual(
          seen.map(({ headers, method, text }) => [method, text, headers.length]),
          [
            ["GET", "", 0],
            ["POST", "one", 1],
            ["POST", "2", 1],
          ],
        )
      }))
  })
}
