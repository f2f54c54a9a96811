import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

import { assert, describe, it } from "vitest"

describe("a checkout without its packages", () => {
  it.each([[[]], [["backup", "copy.db"]]])("says in one line what to do: %j", async (args) => {
    const directory = fs.mkdtempSync(join(tmpdir(), "solo-bare-"))
    try {
      const from = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url))
      fs.cpSync(from("src"), join(directory, "src"), { recursive: true })
      fs.copyFileSync(from("package.json"), join(directory, "package.json"))
      const main = join(directory, "src", "main.ts")
      const run = promisify(execFile)(process.execPath, [main, ...args], { cwd: directory })
      const ended = await run.then(
        () => assert.fail("it started"),
        (error: { readonly code: number; readonly stderr: string }) => error,
      )
      assert.strictEqual(ended.code, 1)
      assert.match(
        ended.stderr,
        /^solo: Cannot find package '[^']+': run "npm install" where package\.json is\n$/,
      )
    } finally {
      fs.rmSync(directory, { recursive: true, force: true })
    }
  })
})
