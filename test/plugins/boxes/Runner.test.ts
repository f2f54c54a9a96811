/** The script of a box: what it must not make Node load. */
import { execFileSync } from "node:child_process"

import { assert, describe, it } from "@effect/vitest"

import { nodeFlags } from "../../../plugins/boxes/Enclosure.ts"
import { bootstrapText, bundle } from "../../../plugins/realm/Assets.ts"

const tell = `require("fs").writeSync(1, JSON.stringify(process.moduleLoadList)); process.exit()`

/** Names of modules that Node had loaded when `script` reached the line that tells. */
const loadedBy = (script: string): ReadonlyArray<string> =>
  JSON.parse(
    execFileSync(process.execPath, [...nodeFlags(64), "--input-type=commonjs", "-e", script], {
      encoding: "utf8",
      input: "",
    }),
  ) as ReadonlyArray<string>

describe("the runner's script", () => {
  it("names nothing that `node -e` would load for its name alone", () => {
    const isCostly = (name: string) => /NativeModule (?:internal\/)?crypto\b/.test(name)
    assert.isTrue(loadedBy(`${tell} /* crypto */`).some(isCostly), "Node does so no more")
    assert.isFalse(loadedBy(`${tell}\n${bundle("boxes/BoxRunner.cjs")}`).some(isCostly))
  })

  it.skipIf(process.platform !== "linux")("hears the kernel without Node's sockets", () => {
    const isCostly = (name: string) => /NativeModule (?:net|stream|perf_hooks)$/.test(name)
    assert.isTrue(loadedBy(`process.stdin; ${tell}`).some(isCostly), "Node's stdin has no socket")
    assert.deepStrictEqual(
      loadedBy(`${bundle("boxes/BoxRunner.cjs")}\n${tell}`).filter(isCostly),
      [],
    )
  })

  it("evaluates in the realm what is ASCII alone, and still says what it said", () => {
    const text = bootstrapText()
    assert.match(text, /^[\0-\u007f]*$/)
    assert.include(text, "{ fetch(request, ctx) { \\u2026 } }")
  })
})
