/**
 * docs/operations.md, followed literally: its commands are run in order against a real kernel, the
 * metrics and the messages it tells people to watch exist.
 */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync } from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as OpenApi from "effect/http-api/OpenApi"

import { Api } from "../../plugins/http/Api.ts"
import { stopSignals } from "../../src/main/Signals.ts"
import { dataDirectory, kernel, ready } from "../process/KernelProcess.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const guide = readFileSync(join(root, "docs/operations.md"), "utf8")

const [prelude = "", ...blocks] = [...guide.matchAll(/```sh\n([\s\S]*?)```/g)].map(
  ([, commands]) => commands!,
)

/** The first cells of the table whose head begins with `head`, as far as they are in backquotes. */
const firstCells = (head: string): ReadonlyArray<string> => {
  const [, table = ""] = guide.split(`| ${head}`)
  const [rows = ""] = table.split("\n\n")
  return rows
    .split("\n")
    .slice(2)
    .flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
    )
}

/** The query parameters that the commands give, by the path they give them to. */
const givenParameters = blocks.flatMap((block) =>
  [...block.matchAll(/\$URL(\/[^\s"?]*)\?([^\s"]*)/g)].flatMap(([, path, query]) =>
    [...new URLSearchParams(query).keys()].map((name) => `${path} ${name}`),
  ),
)

interface Document {
  readonly paths: Record<string, Record<string, Operation>>
}
interface Operation {
  readonly parameters?: ReadonlyArray<{ readonly name: string; readonly in: string }>
}

/** The query parameters that there are. Others are ignored, which a reader would not notice. */
const declaredParameters = (): Array<string> =>
  Object.entries((OpenApi.fromApi(Api) as unknown as Document).paths).flatMap(([path, methods]) =>
    Object.values(methods).flatMap(({ parameters = [] }) =>
      parameters.filter((one) => one.in === "query").map(({ name }) => `${path} ${name}`),
    ),
  )

const sources = ["src", "plugins"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => readFileSync(join(root, folder, path), "utf8")),
)

describe("docs/operations.md", () => {
  it("names metrics and messages that there are", () => {
    const metrics = firstCells("watch").filter((name) => name.startsWith("solo_"))
    const messages = firstCells("message").map((message) => message.replace("…", ""))
    assert.isAtLeast(metrics.length, 5)
    assert.isAtLeast(messages.length, 5)
    for (const name of [...metrics.map((metric) => metric.replace(/\{.*/, "")), ...messages]) {
      assert.isTrue(
        sources.some((text) => text.includes(name)),
        name,
      )
    }
  })

  it("names the exit code of every second signal", () => {
    const [, codes = ""] = /A\s+second\s+signal ends it at once \(([^)]*)\)/.exec(guide) ?? []
    const bySignal = stopSignals.map((signal) => 128 + constants.signals[signal])
    assert.sameMembers(codes.split(", ").map(Number), bySignal)
  })

  it("gives routes the query parameters that they have", () => {
    assert.include(givenParameters, "/v1/verification/fix missingServices")
    assert.includeMembers(declaredParameters(), givenParameters)
  })

  it("names messages that can be looked for: whatever else is said stands beside them", () => {
    // With a second argument that is no cause, `message` is a list.
    const spoiled =
      /\blog(?:Debug|Info|Warning|Error)\(\s*(?:"[^"]*"|`[^`]*`),\s*(?!cause|exit\.cause|Cause\.)\w.*/g
    assert.deepStrictEqual(
      sources.flatMap((text) => text.match(spoiled) ?? []),
      [],
    )
  })

  it.live(
    "does what it shows",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        let running = yield* kernel({ dataDir })
        yield* Effect.promise(() => ready(running))
        const shell = (script: string) =>
          spawnSync("bash", ["-ec", script], {
            cwd: root,
            encoding: "utf8",
            env: { ...process.env, SOLO_DATA_DIR: dataDir },
          })
        const backup = join(dataDir, "backup.db")
        assert.strictEqual(shell(`node dist/main.js backup ${backup}`).status, 0)
        const settings = prelude.split("\n").slice(0, 2).join("\n")
        let isUp = true
        for (const block of blocks) {
          const isOffline = /main\.js restore|node:sqlite/.test(block)
          if (isOffline && isUp) {
            yield* Effect.promise(() => running.end("SIGTERM"))
            isUp = false
          } else if (!isOffline && !isUp) {
            running = yield* kernel({ dataDir })
            yield* Effect.promise(() => ready(running))
            isUp = true
          }
          if (block.includes("node:sqlite")) rmSync(join(dataDir, "master-key"))
          const script = isOffline ? block : `${settings}\n${block}`
          const done = shell(
            script.replaceAll("data/", `${dataDir}/`).replaceAll("backup.db", backup),
          )
          assert.strictEqual(done.status, 0, `${block}\n${done.stderr}`)
          assert.notInclude(done.stdout, "urn:solo:problem", block)
          if (block.includes("kill -TERM")) {
            assert.strictEqual((yield* Effect.promise(() => running.ended)).code, 0)
            isUp = false
          }
        }
        assert.isTrue(isUp, "it starts without its lost master key")
        assert.isAtLeast(blocks.length, 8)
      }),
    180_000,
  )
})
