/**
 * Plugins of other people: found by path or package name, refused with the reason.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, assert, describe, it } from "vitest"

const script = fileURLToPath(new URL("loading.ts", import.meta.url))
const directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "solo-loader-")))

const write = (path: string, text: string): string => {
  fs.mkdirSync(dirname(join(directory, path)), { recursive: true })
  fs.writeFileSync(join(directory, path), text)
  return path.startsWith("node_modules/") ? path.split("/")[1]! : `./${path}`
}

interface Outcome {
  readonly name?: string
  readonly isShared?: boolean
  readonly error?: string
}

const load = (...froms: ReadonlyArray<string>): ReadonlyArray<Outcome> =>
  execFileSync(process.execPath, [script, directory, ...froms], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))

const fields = `version: "1.0.0", apiVersion: 1, needs: [EventStore], provides: [], config: Schema.Struct({}), layer: () => Layer.empty`

const source = (name: string) => `
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { definePlugin, EventStore } from "solo"
export default definePlugin({ name: "${name}", ${fields} })
`

const decoy = (name: string) => {
  write(
    `node_modules/${name}/package.json`,
    `{"name":"${name}","type":"module","exports":{".":"./x.js","./*":"./x.js"}}`,
  )
  write(`node_modules/${name}/x.js`, `throw new Error("a second copy of ${name}")`)
}

describe("PluginLoader", () => {
  afterAll(() => fs.rmSync(directory, { recursive: true }))

  it("loads TypeScript, JavaScript, CommonJS and packages, all on the kernel's own modules", () => {
    // Copies of the shared packages that lie nearer to the plugins than the kernel's.
    for (const name of ["effect", "solo"]) decoy(name)
    const typescript = write("a.ts", `${source("in-ts")}const unused: number = 1; void unused\n`)
    const module = write(
      "b.mjs",
      source("in-js").replace("export default", "export const plugin ="),
    )
    const common = write(
      "c.cjs",
      `const { definePlugin, EventStore } = require("solo")
const Layer = require("effect/Layer"), Schema = require("effect/Schema")
module.exports = definePlugin({ name: "in-cjs", ${fields} })`,
    )
    write(
      "node_modules/a-package/package.json",
      `{"name":"a-package","type":"module","exports":"./main.js"}`,
    )
    const packaged = write("node_modules/a-package/main.js", source("packaged"))
    const absolute = join(directory, "a.ts")
    assert.deepStrictEqual(
      load(typescript, module, common, packaged, absolute),
      ["in-ts", "in-js", "in-cjs", "packaged", "in-ts"].map((name) => ({ name, isShared: true })),
    )
  })

  it("says what is wrong with what it found", () => {
    const cases: ReadonlyArray<readonly [from: string, expected: RegExp]> = [
      ["./missing.ts", /^plugin \.\/missing\.ts: there is no file \/.*\/missing\.ts$/],
      [".//", /is no file; name the plugin's \.ts, \.js or \.mjs file/],
      ["no-such-package", /there is no package of this name to be found from .*; install it there/],
      [write("syntax.js", "const ="), /does not load: Unexpected token '=' .*syntax\.(?:js|mjs):1/],
      [write("enum.ts", "enum A { B }\nexport default A"), /does not load: .*enum/],
      [write("throws.mjs", `throw new Error("not today")`), /does not load: not today$/],
      [
        write("import.mjs", `import "nowhere-to-be-found"`),
        /does not load: Cannot find package 'nowhere/,
      ],
      [write("empty.mjs", ""), /exports no plugin; export one as default or under the name plugin/],
      [write("number.mjs", "export default 7"), /its export is 7, not a plugin/],
      [
        write("old.mjs", `export default { name: "old", apiVersion: 99, whatever: true }`),
        /^plugin old \(\.\/old\.mjs\): made for plugin API 99, this kernel has plugin API 1/,
      ],
    ]
    const outcomes = load(...cases.map(([from]) => from))
    cases.forEach(([, expected], index) => assert.match(outcomes[index]!.error!, expected))
  })

  it("names every field that is not as the contract says", () => {
    const from = write(
      "wrong.mjs",
      `export default { name: "No Good", version: 1, apiVersion: 1, needs: ["EventStore"], provides: [], config: {}, layer: 1 }`,
    )
    assert.deepStrictEqual(load(from)[0]?.error?.split("\n"), [
      "plugin ./wrong.mjs: name: found a string, expected at most 64 lowercase letters, digits and dashes, a letter first",
      "plugin ./wrong.mjs: version: found 1, expected string",
      "plugin ./wrong.mjs: needs[0]: found a string, expected a service key",
      "plugin ./wrong.mjs: config: found an object, expected a Schema of effect",
      "plugin ./wrong.mjs: layer: found 1, expected a function from the configuration to a Layer",
    ])
  })
})
