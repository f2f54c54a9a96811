/**
 * How the process says that and why it ended: exit codes, which other programs rely on, and lines,
 * which people read (promise 9: exit 0 means that all went well).
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { assert, describe, it } from "vitest"

import { PluginLoadFailed, PluginsRefused } from "../../src/kernel/plugin/PluginError.ts"
import { DataDirectoryHeld, DataDirectoryUnusable } from "../../src/main/DataDirectory.ts"
import { DiskFull } from "../../src/main/DiskFull.ts"
import { badConfiguration, ending, ProcessFailed } from "../../src/main/Exit.ts"
import { SecretFileInvalid } from "../../src/main/RootTokenFile.ts"

const path = "/data"

const failures: ReadonlyArray<readonly [number, unknown, string]> = [
  [1, new Error("the disk failed"), "the disk failed"],
  [1, new DiskFull({ path }), "/data cannot be written: the disk is full; free"],
  [64, new ProcessFailed({ code: 64, lines: ["no such command"] }), "no such command"],
  [73, new DataDirectoryHeld({ path, pid: 7 }), "pid 7"],
  [78, badConfiguration("SOLO_PORT: not a port"), "SOLO_PORT: not a port"],
  [78, new DataDirectoryUnusable({ path, reason: "it is a file" }), "it is a file"],
  [78, new SecretFileInvalid({ path, reason: "it is empty" }), "it is empty"],
  [
    78,
    new PluginsRefused({ errors: [new PluginLoadFailed({ source: "x", problems: ["no value"] })] }),
    "plugin x: no value",
  ],
]

describe("Exit", () => {
  it("is 0 and says nothing after a run that ended well", () => {
    assert.deepStrictEqual(ending(Exit.void), { code: 0, lines: [] })
  })

  it.each(failures)("is %i for what failed as expected, and says no more than why", (...given) => {
    const [code, error, text] = given
    const { code: actual, lines } = ending(Exit.fail(error))
    assert.strictEqual(actual, code)
    assert.strictEqual(lines.length, 1, "no stack")
    assert.include(lines[0], text)
  })

  it("gives each mistake in a configuration a line", () => {
    const { lines } = ending(Exit.fail(badConfiguration("one", "two", "three")))
    assert.deepStrictEqual(lines, ["one", "two", "three"])
  })

  it("is 1 for a defect, and says where it came from", () => {
    const { code, lines } = ending(Exit.die(new Error("never expected")))
    assert.strictEqual(code, 1)
    assert.include(lines[0], "never expected")
    assert.isAbove(lines.length, 1, "with its stack")
  })

  it("is 1 where a failure came with a defect, and hides neither", () => {
    const cause = Cause.combine(Cause.fail(new Error("expected")), Cause.die(new Error("broken")))
    const { code, lines } = ending(Exit.failCause(cause))
    assert.strictEqual(code, 1)
    assert.match(lines.join("\n"), /expected[^]*broken/)
  })

  it("shows a failure that is no error as well as it can", () => {
    const { code, lines } = ending(Exit.fail("a mere text"))
    assert.strictEqual(code, 1)
    assert.include(lines.join("\n"), "a mere text")
  })
})
