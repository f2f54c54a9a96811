/**
 * The plugin that docs/plugins.md shows in full, loaded and run as it stands there.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, assert, beforeAll, describe, it } from "vitest"

import * as solo from "../../src/index.ts"
import { kernelNeeds, kernelProvides } from "../../src/kernel/Kernel.ts"
import { Gateway } from "../../src/kernel/plugin/Gateway.ts"

const inRepository = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

const example = (): string => {
  const text = fs.readFileSync(inRepository("docs/plugins.md"), "utf8")
  const block = /```ts\n(\/\/ event-counts\.ts\n.*?)```/su.exec(text)
  assert.isNotNull(block)
  return block![1]!
}

/** The sentence that says where services come from, up to each of its semicolons. */
const origins = (): ReadonlyArray<string> => {
  const text = fs.readFileSync(inRepository("docs/plugins.md"), "utf8")
  const [, sentence = ""] =
    /exported by the package `solo`\. (.*?) are there from the beginning/u.exec(text) ?? []
  return sentence.split("; ")
}

const namesIn = (text: string | undefined) =>
  [...(text ?? "").matchAll(/`(\w+)`/gu)].map(([, name]) => name!).toSorted()

describe("docs/plugins.md", () => {
  it("names every service that a plugin may need, and where it comes from", () => {
    const [fromKernel, fromPlugins, given] = origins()
    const exported = Object.entries(solo)
      .filter(([, value]) => kernelProvides.some((service) => service === value))
      .map(([name]) => name)
    assert.deepStrictEqual(namesIn(fromKernel), exported.toSorted())
    const others = [...kernelNeeds, Gateway].map(({ key }) => key.split("/").at(-1)!)
    assert.deepStrictEqual(
      [...namesIn(fromPlugins), ...namesIn(given)].toSorted(),
      others.toSorted(),
    )
  })

  const directory = fs.mkdtempSync(join(tmpdir(), "solo-docs-"))
  const path = join(directory, "event-counts.ts")

  beforeAll(() => fs.writeFileSync(path, example()))
  afterAll(() => fs.rmSync(directory, { recursive: true }))

  const run = (config: string): ReadonlyArray<string> =>
    execFileSync(
      process.execPath,
      [fileURLToPath(new URL("example.ts", import.meta.url)), path, config],
      {
        encoding: "utf8",
      },
    )
      .trim()
      .split("\n")

  it("shows a plugin that lives outside the source tree, sees events and adds a service", () => {
    const lines = run("{}")
    assert.strictEqual(lines.at(-1), "2 1 true")
    assert.include(lines.join("\n"), "events counted")
  })

  it("shows a configuration that is decoded and refused as it says", () => {
    assert.strictEqual(run('{"types":["recovery_started"]}').at(-1), "0 1 true")
    assert.deepStrictEqual(run('{"typos":[]}'), [
      "plugin event-counts: config typos: is not a known key",
    ])
    assert.match(
      run('{"types":["nonsense"]}')[0]!,
      /^plugin event-counts: config types\[0\]: found a string/,
    )
  })
})
