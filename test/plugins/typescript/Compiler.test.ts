/**
 * Defends promise 4: whatever a tenant sends as source costs that source only.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Compiler } from "solo"

import * as Typescript from "../../../plugins/typescript/index.ts"

const good = "export default { fetch: (request: Request): Response => new Response('hello') }"

const failure = Effect.fn(function* (
  source: string,
  format: "typescript" | "javascript" = "typescript",
) {
  const compiler = yield* Compiler
  return yield* Effect.flip(compiler.compile(source, format))
})

layer(Typescript.layer)("Compiler", (it) => {
  it.effect("strips types in place", () =>
    Effect.gen(function* () {
      const compiler = yield* Compiler
      const code = yield* compiler.compile(good, "typescript")
      assert.strictEqual(code.length, good.length)
      assert.strictEqual(code.indexOf("=>"), good.indexOf("=>"))
      assert.notInclude(code, ": Request")
    }),
  )

  it.effect("takes JavaScript as it is, and type imports away", () =>
    Effect.gen(function* () {
      const compiler = yield* Compiler
      const source = "const a = 1\nexport { a as default }"
      assert.strictEqual(yield* compiler.compile(source, "javascript"), source)
      yield* compiler.compile(`import type { Service } from "solo/service"\n${good}`, "typescript")
      yield* compiler.compile(
        "export default { f: () => new.target, importer: 'import(x)' }".replace(
          "() => new.target",
          "function () { return new.target }",
        ),
        "javascript",
      )
    }),
  )

  const refused: ReadonlyArray<
    readonly [source: string, line: number, column: number, says: RegExp]
  > = [
    [`${good}\n  enum A { B }`, 2, 3, /const object/],
    ["const 日本 = 1; enum A { B }", 1, 15, /const object/],
    ["\t\tenum A {}", 1, 3, /const object/],
    ["const a = 1\r\n;\r\nenum A {\r\n B,\r\n C }", 3, 1, /const object/],
    ["namespace N { export const a = 1 }", 1, 1, /namespaces/],
    ["class A { constructor(private x: number) {} }", 1, 31, /constructor/],
    [`@dec class A {}\n${good}`, 1, 1, /decorators/],
    ["\n\nconst x: = 1", 3, 10, /Unexpected/],
    [`${good}\nconst a = 1; const a = 2`, 2, 20, /already been declared/],
    [`import { a } from "a"\n${good}`, 1, 1, /one file/],
    [`import "a"\n${good}`, 1, 1, /one file/],
    [`${good}\nexport * from "a"`, 2, 1, /one file/],
    [`${good}\nexport/**/* from "a"`, 2, 1, /one file/],
    [`${good}\nexport { a } from "a"`, 2, 1, /one file/],
    [`import a = require("a")\n${good}`, 1, 1, /one file/],
    [`${good}\nconst a = () => import("node:fs")`, 2, 17, /one file/],
    [`${good}\nconst a = () => import/**/\n("node:fs")`, 2, 17, /one file/],
    [`${good}\nconst a = \`\${import("x")}\``, 2, 14, /one file/],
    [`${good}\nconst a = import.meta.url`, 2, 11, /one file/],
    ["const a = 1", 1, 1, /default export/],
    ["", 1, 1, /default export/],
    ["const a = 1\0", 1, 12, /Unexpected/],
    ["// \ud800 half", 1, 4, /surrogate/],
    ["\uFEFFenum A {}", 1, 2, /const object/],
  ]
  for (const [source, line, column, says] of refused)
    it.effect(`refuses ${JSON.stringify(source.slice(-40))} where it is wrong`, () =>
      Effect.gen(function* () {
        const error = yield* failure(source)
        assert.match(error.message, says)
        assert.deepStrictEqual([error.line, error.column], [line, column])
      }),
    )

  it.effect("refuses in JavaScript what only TypeScript has", () =>
    Effect.gen(function* () {
      const error = yield* failure("let a: number = 1", "javascript")
      assert.deepStrictEqual([error.line, error.column], [1, 6])
    }),
  )

  const bombs: Readonly<Record<string, string>> = {
    parentheses: "(".repeat(100_000),
    negations: `export default ${"!".repeat(500_000)}1`,
    sums: `export default 1${"+1".repeat(400_000)}`,
    members: `export default a${".a".repeat(400_000)}`,
    arrows: `export default ${"x=>".repeat(200_000)}1`,
    statements: `${"if(1)".repeat(150_000)};`,
    types: `type A = ${"A<".repeat(100_000)}`,
    templates: "`${".repeat(100_000),
    line: `export default "${"x".repeat(1_000_000)}"; enum A {}`,
    noise: "\0\u0001\u2028{[(<".repeat(50_000),
    huge: "x".repeat(5_000_000),
  }
  for (const [name, source] of Object.entries(bombs))
    it.effect(`survives a bomb of ${name}, and so does the next source`, () =>
      Effect.gen(function* () {
        const compiler = yield* Compiler
        for (const format of ["typescript", "javascript"] as const) {
          yield* Effect.result(compiler.compile(source, format))
          yield* compiler.compile(good, "typescript")
        }
      }),
    )
})
