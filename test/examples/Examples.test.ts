/**
 * The example services, compiled and run for real.
 */
import { readFileSync } from "node:fs"

import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Compiler, type Instance, ServiceId, type ServiceName, TenantId } from "solo"

import { layer as threads } from "../../plugins/threads/index.ts"
import { layer as typescript } from "../../plugins/typescript/index.ts"
import { serviceStoreOf } from "../../src/kernel/store/ServiceStore.ts"
import { ask, bodyOf, startService } from "../contract/RuntimeClient.ts"
import { layerStores } from "../kernel/Stores.ts"

const layer = Layer.mergeAll(threads, typescript, layerStores())
const links: ServiceName = {
  tenantId: TenantId.make("acme"),
  serviceId: ServiceId.make("links"),
}

const start = Effect.fn(function* (name: string, options?: Parameters<typeof startService>[1]) {
  const compiler = yield* Compiler
  const url = new URL(`../../docs/examples/${name}.ts`, import.meta.url)
  const code = yield* compiler.compile(readFileSync(url, "utf8"), "typescript")
  return yield* startService(code, options)
})

const call = (instance: Instance, method: string, path: string, body?: string) =>
  ask(instance, {
    method,
    url: `http://example${path}`,
    body: body === undefined ? null : bodyOf(body),
  })

it.live("link-shortener", () =>
  Effect.gen(function* () {
    const service = yield* start("link-shortener", { store: yield* serviceStoreOf(links) })
    const made = yield* call(
      service,
      "POST",
      "/links",
      '{"url":"https://example.com/a?b","slug":"docs"}',
    )
    assert.strictEqual(made.status, 201)
    const random = JSON.parse(
      (yield* call(service, "POST", "/links", '{"url":"http://example.com"}')).text,
    )
    assert.match(random.slug, /^\w{7}$/)
    const visited = yield* call(service, "GET", "/docs")
    assert.deepStrictEqual(
      [visited.status, visited.headers["location"]],
      [302, "https://example.com/a?b"],
    )
    yield* call(service, "HEAD", "/docs")
    assert.strictEqual(JSON.parse((yield* call(service, "GET", "/links/docs")).text).visits, 1)
    assert.deepStrictEqual(JSON.parse((yield* call(service, "GET", "/stats")).text), {
      links: 2,
      visits: 1,
    })
    assert.strictEqual(
      JSON.parse((yield* call(service, "GET", "/links?limit=1")).text).items[0].slug,
      [random.slug, "docs"].sort()[0],
    )
    const refused: ReadonlyArray<readonly [string, string, string | undefined, number]> = [
      ["POST", "/links", "nonsense", 400],
      ["POST", "/links", "[]", 400],
      ["POST", "/links", '{"url":"javascript:alert(1)"}', 400],
      ["POST", "/links", '{"url":"https://u:p@example.com"}', 400],
      ["POST", "/links", '{"url":"https://example.com","slug":"a/b"}', 400],
      ["POST", "/links", '{"url":"https://example.com","slug":"stats"}', 400],
      ["POST", "/links", '{"url":"https://example.com","slug":"docs"}', 409],
      ["GET", "/nowhere", undefined, 404],
      ["GET", "/__proto__", undefined, 404],
      ["PUT", "/links", "{}", 405],
    ]
    for (const [method, path, body, status] of refused)
      assert.strictEqual(
        (yield* call(service, method, path, body)).status,
        status,
        `${method} ${path} ${body}`,
      )
    assert.strictEqual((yield* call(service, "DELETE", "/links/docs")).status, 204)
    assert.strictEqual((yield* call(service, "GET", "/docs")).status, 404)
    yield* service.stop
    const again = yield* start("link-shortener", { store: yield* serviceStoreOf(links) })
    assert.deepStrictEqual(JSON.parse((yield* call(again, "GET", "/stats")).text), {
      links: 1,
      visits: 1,
    })
  }).pipe(Effect.scoped, Effect.provide(layer)),
)

it.live("json-validator", () =>
  Effect.gen(function* () {
    const service = yield* start("json-validator")
    const validate = Effect.fnUntraced(function* (schema: unknown, data: unknown) {
      const { status, text } = yield* call(service, "POST", "/", JSON.stringify({ schema, data }))
      const { errors, path } = JSON.parse(text)
      return status === 200
        ? errors.map((e: { path: string; keyword: string }) => `${e.path} ${e.keyword}`)
        : [status, path]
    })
    const person = {
      type: "object",
      required: ["name", "age"],
      properties: {
        name: { type: "string", minLength: 2 },
        age: { type: "integer", minimum: 0 },
        mail: { format: "email" },
        tags: { type: "array", items: { enum: ["a", "b"] }, uniqueItems: true },
      },
      additionalProperties: false,
    }
    assert.deepStrictEqual(yield* validate(person, { name: "Ada", age: 36, tags: ["a"] }), [])
    assert.deepStrictEqual(
      yield* validate(person, { name: "A", mail: "x", tags: ["a", "a", "c"], "od/d~": 1 }),
      [
        " required",
        "/name minLength",
        "/mail format",
        "/tags/2 enum",
        "/tags uniqueItems",
        "/od~1d~0 additionalProperties",
      ],
    )
    const tree = {
      $ref: "#/$defs/node",
      $defs: { node: { type: "object", properties: { next: { $ref: "#/$defs/node" } } } },
    }
    assert.deepStrictEqual(yield* validate(tree, { next: { next: 1 } }), ["/next/next type"])
    const cases: ReadonlyArray<readonly [schema: unknown, data: unknown, expected: unknown]> = [
      [true, 1, []],
      [false, 1, [" false"]],
      [{ const: { a: 1, b: [2] } }, { b: [2], a: 1 }, []],
      [{ multipleOf: 0.1 }, 0.3, []],
      [{ exclusiveMaximum: 3 }, 3, [" exclusiveMaximum"]],
      [{ oneOf: [{ type: "number" }, { minimum: 2 }] }, 5, [" oneOf"]],
      [{ anyOf: [{ type: "string" }, { type: "null" }] }, null, []],
      [{ not: { type: "null" } }, null, [" not"]],
      [
        // oxlint-disable-next-line no-thenable -- a keyword of JSON Schema
        { if: { minimum: 10 }, then: { multipleOf: 10 }, else: { maximum: 5 } },
        15,
        [" multipleOf"],
      ],
      [
        { prefixItems: [{ type: "string" }], items: { type: "number" } },
        ["a", 1, "b"],
        ["/2 type"],
      ],
      [{ maxLength: 1 }, "😀", []],
      [{ format: "date" }, "2026-02-30", [" format"]],
      [{ format: "ipv4" }, "256.1.1.1", [" format"]],
      [{ required: ["__proto__"] }, {}, [" required"]],
      [{ typo: 1 }, 1, [400, "#/typo"]],
      [{ constructor: 1 }, 1, [400, "#/constructor"]],
      [{ pattern: "(" }, "a", [400, "#/pattern"]],
      [{ $ref: "#" }, 1, [400, "#"]],
      [{ $ref: "#/nowhere" }, 1, [400, "#/$ref"]],
      [7, 1, [400, "#"]],
    ]
    for (const [schema, data, expected] of cases)
      assert.deepStrictEqual(yield* validate(schema, data), expected, JSON.stringify(schema))
    assert.strictEqual((yield* call(service, "POST", "/", "{")).status, 400)
    assert.strictEqual((yield* call(service, "GET", "/")).status, 405)
  }).pipe(Effect.scoped, Effect.provide(layer)),
)

it.live(
  "markdown",
  () =>
    Effect.gen(function* () {
      const service = yield* start("markdown")
      const cases: ReadonlyArray<readonly [markdown: string, html: string]> = [
        ["# Title *x* #", "<h1>Title <em>x</em></h1>"],
        ["Title\n=====", "<h1>Title</h1>"],
        [
          "a **b** _c_ ~~d~~ `e<` \\*f\\* snake_case_name",
          "<p>a <strong>b</strong> <em>c</em> <del>d</del> <code>e&lt;</code> *f* snake_case_name</p>",
        ],
        ["**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"],
        ["one  \ntwo", "<p>one<br>\ntwo</p>"],
        [
          "```ts\nlet a = 1 < 2\n```",
          '<pre><code class="language-ts">let a = 1 &lt; 2\n</code></pre>',
        ],
        ["    code", "<pre><code>code\n</code></pre>"],
        [
          "- a\n- b\n  1. c\n  2. d\n- [x] e",
          '<ul>\n<li>a</li>\n<li>b\n<ol>\n<li>c</li>\n<li>d</li>\n</ol></li>\n<li><input type="checkbox" disabled checked> e</li>\n</ul>',
        ],
        ["> a\n> - b", "<blockquote>\n<p>a</p>\n<ul>\n<li>b</li>\n</ul>\n</blockquote>"],
        ["---", "<hr>"],
        [
          '[a](https://example.com/?b=1&c "t")',
          '<p><a href="https://example.com/?b=1&amp;c" title="t" rel="nofollow noopener">a</a></p>',
        ],
        ["![a](b.png)", '<p><img src="b.png" alt="a"></p>'],
        [
          "<https://example.com>",
          '<p><a href="https://example.com" rel="nofollow noopener">https://example.com</a></p>',
        ],
        [
          "| a | b |\n|---|--:|\n| 1 | `2` |",
          '<table>\n<thead><tr><th>a</th><th align="right">b</th></tr></thead>\n<tbody><tr><td>1</td><td align="right"><code>2</code></td></tr></tbody>\n</table>',
        ],
        ["<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"],
      ]
      for (const [markdown, html] of cases)
        assert.strictEqual((yield* call(service, "POST", "/", markdown)).text, `${html}\n`)
      for (const address of [
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        "java\u0001script:x",
        "data:text/html,x",
        "vbscript:x",
        "//evil",
        "\u00a0javascript:x",
        "a'onclick=x:y",
      ])
        assert.notMatch(
          (yield* call(service, "POST", "/", `[a](${address}) ![b](${address})`)).text,
          /href|src/,
        )
      const page = yield* call(service, "POST", "/?page=%3Cb%3E", "x")
      assert.include(page.text, "<title>&lt;b&gt;</title>")
      for (const bomb of [
        "*".repeat(50_000),
        "[".repeat(50_000),
        "> ".repeat(50_000),
        "- ".repeat(20_000),
        "`a".repeat(20_000),
        "[a](".repeat(10_000),
        "_a ".repeat(20_000),
        "**a".repeat(10_000),
      ])
        assert.strictEqual(
          (yield* Effect.timeout(call(service, "POST", "/", bomb), 8000)).status,
          200,
        )
    }).pipe(Effect.scoped, Effect.provide(layer)),
  30_000,
)

it.live("status-board", () =>
  Effect.gen(function* () {
    const service = yield* start("status-board", {
      env: { SERVICES: "greeter gone", PAGES: "https://example.com/ https://other.example/" },
      fetch: ({ to, url }) =>
        url === "https://other.example/"
          ? Effect.fail({ message: "this service's spec does not name other.example:443" })
          : Effect.succeed({ status: to === "gone" ? 404 : 200, headers: [], body: null }),
    })
    const board = yield* call(service, "GET", "/")
    assert.strictEqual(board.status, 503)
    assert.deepStrictEqual(JSON.parse(board.text), [
      { name: "greeter", isUp: true, detail: "status 200" },
      { name: "gone", isUp: false, detail: "status 404" },
      { name: "https://example.com/", isUp: true, detail: "status 200" },
      {
        name: "https://other.example/",
        isUp: false,
        detail: "this service's spec does not name other.example:443",
      },
    ])
  }).pipe(Effect.scoped, Effect.provide(layer)),
)
