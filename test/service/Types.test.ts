/**
 * The types for authors of services: what is packed is enough to check a service, they say what a
 * service really finds at run time, and nothing else.
 */
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import * as Effect from "effect/Effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { askSurface, type Names, type Surface } from "./Surface.ts"

const inRepository = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

const directory = fs.mkdtempSync(join(tmpdir(), "solo-types-"))
const installed = join(directory, "node_modules", "solo")

beforeAll(() => {
  const options = { cwd: inRepository(""), encoding: "utf8" } as const
  const packed = execFileSync(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", directory],
    options,
  )
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }]
  fs.mkdirSync(installed, { recursive: true })
  execFileSync("tar", ["-xzf", join(directory, filename), "-C", installed, "--strip-components=1"])
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

/** Files of the package, when it is packed in `place`. */
const packedFrom = (place: string): Array<string> => {
  const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--dry-run", "--json"], {
    cwd: place,
    encoding: "utf8",
  })
  const [{ files }] = JSON.parse(packed) as [{ files: ReadonlyArray<{ path: string }> }]
  return files.map(({ path }) => path)
}

/** What TypeScript says about these files, with nothing installed but the packed package. */
const check = (files: Readonly<Record<string, string>>): string => {
  const place = fs.mkdtempSync(join(directory, "project-"))
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(join(place, name), text)
  fs.copyFileSync(inRepository("docs/examples/tsconfig.json"), join(place, "tsconfig.json"))
  const { stdout } = spawnSync(inRepository("node_modules/.bin/tsc"), ["-p", place], {
    cwd: place,
    encoding: "utf8",
  })
  return stdout
}

const blocksOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block]) => block!)

const header = 'import type { Context, ScheduledEvent, Service } from "solo/service"\n'

describe("solo/service", () => {
  it("is enough to check the examples and every service in docs/services.md", () => {
    const names = fs
      .readdirSync(inRepository("docs/examples"))
      .filter((name) => name.endsWith(".ts"))
    const blocks = blocksOf(fs.readFileSync(inRepository("docs/services.md"), "utf8"))
    assert.isAtLeast(names.length, 3)
    assert.isAtLeast(blocks.length, 2)
    for (const block of blocks) assert.include(block, "satisfies Service")
    const files = Object.fromEntries([
      ...names.map((name) => [
        name,
        fs.readFileSync(inRepository(`docs/examples/${name}`), "utf8"),
      ]),
      ...blocks.map((block, index) => [`block${index}.ts`, block]),
    ]) as Record<string, string>
    assert.strictEqual(check(files), "")
  })

  it("imports nothing, and is packed without sources of the kernel", () => {
    const files = fs.readdirSync(join(installed, "src"), { recursive: true }).map(String)
    assert.deepStrictEqual(files.sort(), [
      "service",
      "service/index.d.ts",
      "service/streams.d.ts",
      "service/web.d.ts",
    ])
    for (const name of files.filter((file) => file.endsWith(".ts")))
      assert.notMatch(fs.readFileSync(join(installed, "src", name), "utf8"), /^import |import\(/m)
  })

  it("knows how the web wants a stream to be sent", () => {
    const sends = [
      "new Request('http://a', { method: 'POST', body: new ReadableStream(), duplex: 'half' })",
      "({ fetch: (request, ctx) => ctx.services.fetch('a', '/', { method: 'POST', body: request.body, duplex: 'half' }) }) satisfies Service",
    ]
    assert.strictEqual(
      check({ "sends.ts": `${header}${sends.map((send) => `;${send}\n`).join("")}` }),
      "",
    )
  })

  it("refuses what is not there, and what is used wrongly", () => {
    const mistakes = [
      "process.exit()",
      'Buffer.from("")',
      "document.body",
      "window.location",
      'require("fs")',
      "global.x",
      "setImmediate(() => {})",
      "new WebSocket('')",
      "new WebAssembly.Module(new Uint8Array())",
      "new Blob([])",
      "new FormData()",
      "localStorage.getItem('')",
      "crypto.subtle.generateKey",
      "new Request('http://a', { mode: 'cors' })",
      "new Request('http://a', { method: 'POST', body: '', duplex: 'full' })",
      "({ fetch: () => 'text' }) satisfies Service",
      "({ fetch: () => {} }) satisfies Service",
      "({ start() {} }) satisfies Service",
      "({ fetch: () => new Response(), fetsch: 1 }) satisfies Service",
      "({ fetch: (request: string) => new Response(request) }) satisfies Service",
      "({ fetch: async (request, ctx) => new Response(ctx.secrets.get('a')) }) satisfies Service",
      "({ fetch: (request, ctx) => new Response(ctx.nothing) }) satisfies Service",
      "({ fetch: async (_, ctx) => new Response(String(await ctx.store.put('a', undefined))) }) satisfies Service",
      "({ fetch: async (_, ctx) => new Response(await ctx.store.get<string>('a')! + 1n) }) satisfies Service",
      "({ fetch: async (_, ctx) => { await ctx.store.batch([{ type: 'set', key: 'a' }]) ; return new Response() } }) satisfies Service",
      "({ fetch: (request, { env }) => { env.A = '' ; return new Response() } }) satisfies Service",
      "({ fetch: (request, ctx) => { ctx.signal = request.signal ; return new Response() } }) satisfies Service",
      "({ fetch: () => new Response({}) }) satisfies Service",
    ]
    const text = mistakes.map((mistake) => `// @ts-expect-error\n;${mistake}\n`).join("")
    assert.strictEqual(check({ "mistakes.ts": header + text }), "")
  })
})

/** Members of a class or object that no type names, and why. */
const unnamed: Readonly<Record<string, ReadonlyArray<string>>> = {
  // From a former edition of the standard.
  WritableStreamDefaultController: ["abortReason"],
  // A mark that the library leaves.
  structuredClone: ["sham"],
  // Constants that nobody should use, and what every object has.
  DOMException: ["_ERR", "toString"],
}

const typeOf = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "never" : names.map((name) => JSON.stringify(name)).join(" | ")

/** Members that a type has beyond the class: those that every Error may have. */
const inherited = `"cause" | "stack"`

const same = `type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : ["missing", Exclude<B, A>]) : ["wrong", Exclude<A, B>, "missing", Exclude<B, A>]\n`

const named = (global: string, names: ReadonlyArray<string>) =>
  names.filter((name) => !(unnamed[global] ?? []).some((end) => name.endsWith(end)))

describe("what the types say", () => {
  let surface: Surface
  beforeAll(async () => {
    surface = await Effect.runPromise(askSurface)
  })

  /** The globals that our types declare. */
  const declared = () =>
    ["web.d.ts", "streams.d.ts"].flatMap((name) =>
      [
        ...fs
          .readFileSync(join(installed, "src/service", name), "utf8")
          .matchAll(/^declare (?:var|function) (\w+)/gm),
      ].map(([, global]) => global!),
    )

  it("is what a service finds on the global object", () => {
    const globals = Object.keys(surface.globals)
    assert.deepStrictEqual(
      declared().filter((name) => !globals.includes(name)),
      [],
    )
    // What exists and has no type would be an error here.
    const uses = globals.filter((name) => /^\w+$/.test(name)).map((name) => `void ${name};`)
    assert.isAbove(uses.length, 100)
    assert.strictEqual(check({ "globals.ts": `${header}${uses.join("\n")}` }), "")
  })

  it("is what the classes and objects have, member by member", () => {
    const lines = declared().flatMap((name) => {
      const { members, statics } = surface.globals[name]!
      if (members.includes("globalThis")) return []
      const isClass = /^[A-Z]/.test(name)
      const of = isClass ? `InstanceType<{ new (): ${name} }>` : `typeof ${name}`
      return [
        ...(isClass || members.length > 0
          ? [
              `const members_${name}: Same<Exclude<Extract<keyof ${of}, string>, ${name === "DOMException" ? inherited : "never"}>, ${typeOf(named(name, members))}> = true`,
            ]
          : []),
        `const statics_${name}: Same<Exclude<Extract<keyof typeof ${name}, string>, "prototype" ${isClass ? "" : "| keyof typeof " + name}>, ${isClass ? typeOf(named(name, statics)) : "never"}> = true`,
      ]
    })
    lines.push(`const subtle: Same<keyof typeof crypto.subtle, ${typeOf(surface.subtle)}> = true`)
    assert.strictEqual(check({ "members.ts": `${header}${same}${lines.join("\n")}` }), "")
  })

  it("is what ctx has, all the way down", () => {
    const lines: Array<string> = []
    const compare = (type: string, names: Names) => {
      lines.push(
        `const line${lines.length}: Same<keyof ${type}, ${typeOf(Object.keys(names))}> = true`,
      )
      for (const [name, inner] of Object.entries(names))
        if (inner !== null && name !== "env") compare(`${type}["${name}"]`, inner)
    }
    compare("Context", surface.ctx)
    lines.push(`const due: Same<keyof ScheduledEvent, ${typeOf(surface.due)}> = true`)
    assert.isAtLeast(lines.length, 3)
    assert.strictEqual(check({ "ctx.ts": `${header}${same}${lines.join("\n")}` }), "")
  })
})

describe("the package", () => {
  it("holds what was built, and nothing that running it leaves behind", () => {
    const place = fs.mkdtempSync(join(directory, "package-"))
    fs.copyFileSync(inRepository("package.json"), join(place, "package.json"))
    for (const path of ["dist/main.js", "dist/.compile-cache/v1/code", "src/service/web.d.ts"]) {
      fs.mkdirSync(join(place, path, ".."), { recursive: true })
      fs.writeFileSync(join(place, path), "")
    }
    assert.sameMembers(packedFrom(place), ["package.json", "dist/main.js", "src/service/web.d.ts"])
  })
})
