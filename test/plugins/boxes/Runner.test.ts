/** The script of a box: what it must not make Node load. */
import { execFileSync } from "node:child_process"

import { assert, describe, it } from "@effect/vitest"

import { bootstrapText, bundle } from "../../../plugins/realm/Assets.ts"

/** Names of modules that Node had loaded when `script` ran its first line. */
const loadedBy = (script: string): ReadonlyArray<string> =>
  JSON.parse(
    execFileSync(
      process.execPath,
      [
        "--input-type=commonjs",
        "-e",
        `process.stdout.write(JSON.stringify(process.moduleLoadList)); process.exit()\n${script}`,
      ],
      { encoding: "utf8" },
    ),
  ) as ReadonlyArray<string>

describe("the runner's script", () => {
  it("names nothing that `node -e` would load for its name alone", () => {
    const isCostly = (name: string) => /NativeModule (?:internal\/)?crypto\b/.test(name)
    assert.isTrue(loadedBy("/* crypto */").some(isCostly), "Node does so no more")
    assert.isFalse(loadedBy(bundle("boxes/BoxRunner.cjs")).some(isCostly))
  })

  it("evaluates in the realm what is ASCII alone, and still says what it said", () => {
    const text = bootstrapText()
    assert.match(text, /^[\0-\u007f]*$/)
    assert.include(text, "{ fetch(request, ctx) { \\u2026 } }")
  })
})
