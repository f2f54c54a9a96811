/**
 * The README, followed literally: its shell blocks are run in order against a real kernel, and what
 * they print must have the shape of what the README shows.
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { exitCodes } from "../../src/main/Exit.ts"
import { stopSignals } from "../../src/main/Signals.ts"
import { dataDirectory, kernel, ready } from "../process/KernelProcess.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")

/** The commands of all shell blocks, and the block that shows the output of each, if any. */
const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```(?:\n\n```json\n([\s\S]*?)\n```)?/g)].map(
  ([, commands, output]) => ({ commands: commands!, output }),
)

/** What is outside all code blocks. */
const prose = readme.replaceAll(/```[\s\S]*?```/g, "")

const shape = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shape)
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]))
  }
  return value === null ? "null" : typeof value
}

describe("README", () => {
  it("gives no command where it is not tried", () => {
    assert.notMatch(prose, /node dist\/main\.js/)
  })

  it("names every exit code, and no other", () => {
    const [, codes = ""] = /Exit codes: ([^]*?)\n\n/.exec(readme) ?? []
    const bySignal = stopSignals.map((signal) => 128 + constants.signals[signal])
    assert.sameMembers([...codes.matchAll(/\b\d+\b/g)].map(Number), [
      ...Object.values(exitCodes),
      ...bySignal,
    ])
  })

  it.live(
    "does what it shows",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        let running = yield* kernel({ dataDir })
        yield* Effect.promise(() => ready(running))
        let ran = 0
        for (const { commands, output } of blocks) {
          if (commands.includes("npm ")) continue
          const script = commands
            .replaceAll("http://127.0.0.1:8080", running.url)
            .replaceAll("data/", `${dataDir}/`)
            .replaceAll("backup.db", `${dataDir}/../backup.db`)
          const kills = script.includes("kill -9")
          const restores = script.includes("main.js restore")
          if (restores) yield* Effect.promise(() => running.end("SIGINT"))
          const done = spawnSync("bash", ["-c", script], {
            cwd: root,
            encoding: "utf8",
            env: { ...process.env, TOKEN: running.token, SOLO_DATA_DIR: dataDir },
          })
          ran += 1
          assert.strictEqual(done.status === 28 ? 0 : done.status, 0, `${commands}\n${done.stderr}`)
          if (kills || restores) {
            yield* Effect.promise(() => running.ended)
            running = yield* kernel({ dataDir })
            yield* Effect.promise(() => ready(running))
          } else if (output !== undefined) {
            const shown = JSON.parse(output) as unknown
            assert.deepStrictEqual(shape(JSON.parse(done.stdout)), shape(shown), commands)
          } else {
            assert.notInclude(done.stdout, "urn:solo:problem", commands)
            assert.isAbove(done.stdout.length, 0, commands)
          }
        }
        assert.isAtLeast(ran, 7)
      }),
    180_000,
  )
})
