/**
 * The data directory: made closed, probed, and held by one process at a time (promise 7).
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { hold } from "../../src/main/DataDirectory.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "solo-data-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true })),
)

const contender = fileURLToPath(new URL("contender.ts", import.meta.url))

/** A process that tries to hold `path`, says `held` or why not, and then waits to be killed. */
const contend = (path: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [contender, path], { stdio: ["ignore", "pipe", "inherit"] }),
    ),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill("SIGKILL")
        await once(child, "exit")
      }),
  )

const firstLine = (child: ChildProcess) =>
  Effect.promise(async () => String((await once(child.stdout!, "data"))[0]).trim())

const readJson = (path: string): Record<string, unknown> =>
  JSON.parse(fs.readFileSync(path, "utf8"))

describe("DataDirectory (promise 7)", () => {
  it.live("creates the directory for its owner alone, and can hold it again after release", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "a", "b")
      yield* Effect.scoped(hold(path))
      assert.strictEqual(fs.statSync(path).mode & 0o777, 0o700)
      yield* Effect.scoped(hold(path))
      assert.deepStrictEqual(fs.readdirSync(path), ["lock.db"])
    }),
  )

  it.live("refuses a second holder in the same process and names the pid", () =>
    Effect.gen(function* () {
      const path = yield* directory
      yield* hold(path)
      const error = yield* Effect.flip(hold(path))
      assert.strictEqual(error._tag, "DataDirectoryHeld")
      assert.include(error.message, `pid ${process.pid}`)
    }),
  )

  it.live("refuses while another process holds it, and takes over after kill -9", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const child = yield* contend(path)
      assert.strictEqual(yield* firstLine(child), "held")
      const error = yield* Effect.flip(Effect.scoped(hold(path)))
      assert.include(error.message, `pid ${child.pid}`)
      child.kill("SIGKILL")
      yield* Effect.promise(() => once(child, "exit"))
      assert.isTrue(fs.existsSync(join(path, "lock.json")))
      assert.strictEqual(yield* hold(path), path)
    }),
  )

  it.live("is not fooled by a leftover that names a living process", () =>
    Effect.gen(function* () {
      const path = yield* directory
      fs.writeFileSync(join(path, "lock.json"), `{"pid":${process.ppid}}`)
      fs.writeFileSync(join(path, "lock.db"), "")
      yield* hold(path)
      const { pid } = readJson(join(path, "lock.json"))
      assert.strictEqual(pid, process.pid)
    }),
  )

  it.live(
    "lets exactly one of many win the race for a stale lock",
    () =>
      Effect.gen(function* () {
        const path = yield* directory
        const former = yield* contend(path)
        yield* firstLine(former)
        former.kill("SIGKILL")
        yield* Effect.promise(() => once(former, "exit"))
        const children = yield* Effect.forEach(Array.from({ length: 8 }), () => contend(path))
        const lines = yield* Effect.forEach(children, firstLine, { concurrency: "unbounded" })
        assert.strictEqual(lines.filter((line) => line === "held").length, 1, lines.join("\n"))
        const winner = children[lines.indexOf("held")]!.pid
        for (const line of lines) {
          if (line !== "held") assert.include(line, `pid ${winner}`)
        }
      }),
    { timeout: 30_000 },
  )

  it.live("says why a path cannot be used", () =>
    Effect.gen(function* () {
      const path = yield* directory
      fs.writeFileSync(join(path, "file"), "")
      const reasonOf = (path: string) => Effect.map(Effect.flip(Effect.scoped(hold(path))), String)
      assert.include(yield* reasonOf(join(path, "file")), "it is not a directory")
      assert.include(yield* reasonOf(join(path, "file", "below")), "is not a directory")
      assert.include(yield* reasonOf("/proc/nowhere"), "cannot be used")
      fs.writeFileSync(join(path, "lock.db"), "no database at all, but quite long text".repeat(40))
      const garbled = yield* reasonOf(path)
      assert.include(garbled, "lock.db cannot be used (file is not a database)")
      assert.include(garbled, "nothing is kept in it, so move it away")
    }),
  )
})
