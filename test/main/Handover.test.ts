/**
 * An old Node hands over to the one in node_modules: arguments, signals once, exit codes, no orphan.
 */
import { type ChildProcess, execFileSync, spawn, type StdioOptions } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"

import { isSupported } from "../../src/main/Handover.ts"

const inRepository = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** A real Node that is too old, where the machine has one; otherwise this one pretends to be. */
const oldNode = (process.env["PATH"] ?? "")
  .split(delimiter)
  .filter((directory) => !directory.includes("node_modules"))
  .map((directory) => join(directory, "node"))
  .filter((path) => fs.existsSync(path))
  .find(
    (path) =>
      !isSupported(execFileSync(path, ["-p", "process.versions.node"], { encoding: "utf8" })),
  )

const directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "solo-handover-")))
const entry = join(directory, "with", "entry.mjs")
const lonely = join(directory, "without", "entry.mjs")

const entrySource = `
import { handOver, isSupported } from "./Handover.mjs"
import { handoverVariable, listen } from "./Signals.mjs"
import { fileURLToPath } from "node:url"
const isChild = process.env[handoverVariable] !== undefined
if (!isChild && (process.env.PRETEND_OLD || !isSupported(process.versions.node))) {
  handOver(fileURLToPath(import.meta.url))
} else {
  console.log("booting")
  const until = Date.now() + Number(process.env.BOOT_MS ?? 0)
  while (Date.now() < until);
  listen({
    onStop: (reason) => { console.log("stop: " + reason); setTimeout(() => process.exit(7), 200) },
    onExit: (code) => process.exit(code),
  })
  setInterval(() => undefined, 1000)
  console.log("up", process.pid, process.versions.node, process.argv.slice(2).join(","), handoverVariable in process.env)
  if (process.argv[2] === "die") process.kill(process.pid, "SIGKILL")
  if (process.argv[2] === "exit") process.exit(42)
}
`

const started: Array<ChildProcess> = []

interface Run {
  readonly child: ChildProcess
  readonly output: () => string
  /** Waits until the output holds `text`. */
  readonly says: (text: string) => Promise<void>
  /** Waits for the end of the process and of everything that writes to its output. */
  readonly end: Promise<readonly [code: number | null, signal: string | null]>
}

const run = (
  script: string,
  args: ReadonlyArray<string> = [],
  env: Record<string, string> = {},
): Run => {
  const stdio: StdioOptions = ["ignore", "pipe", "pipe"]
  const child = spawn(oldNode ?? process.execPath, [script, ...args], {
    stdio,
    detached: true,
    env: { PATH: process.env["PATH"], PRETEND_OLD: "1", ...env },
  })
  started.push(child)
  let output = ""
  const waiting: Array<() => void> = []
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString()
      for (const look of waiting) look()
    })
  }
  return {
    child,
    output: () => output,
    says: (text) =>
      new Promise((resolve) => {
        const look = () => {
          if (output.includes(text)) resolve()
        }
        waiting.push(look)
        look()
      }),
    end: once(child, "close") as Promise<[number | null, string | null]>,
  }
}

const install = (script: string): void => {
  const home = join(script, "..")
  fs.mkdirSync(home, { recursive: true })
  for (const name of ["Handover", "Signals"]) {
    const source = fs.readFileSync(inRepository(`src/main/${name}.ts`), "utf8")
    const code = stripTypeScriptTypes(source).replaceAll('.ts"', '.mjs"')
    fs.writeFileSync(join(home, `${name}.mjs`), code)
  }
  fs.writeFileSync(script, entrySource)
}

describe("Handover", () => {
  beforeAll(() => {
    install(entry)
    install(lonely)
    fs.mkdirSync(join(directory, "with", "node_modules"))
    fs.symlinkSync(
      inRepository("node_modules/node"),
      join(directory, "with", "node_modules", "node"),
    )
  })
  afterEach(() => {
    for (const { exitCode, pid } of started.splice(0)) {
      if (exitCode === null && pid !== undefined) {
        try {
          process.kill(pid, "SIGKILL")
        } catch {
          // It ended by itself.
        }
      }
    }
  })
  afterAll(() => fs.rmSync(directory, { recursive: true }))

  it("runs the same script with the same arguments in the newer Node, and passes its exit code on", async () => {
    const { end, output } = run(entry, ["exit", "b c"])
    assert.deepStrictEqual(await end, [42, null])
    assert.match(output(), /up \d+ (?:2[6-9]|[3-9]\d)\.\S+ exit,b c false/)
  })

  it("dies of the signal that the newer one died of", async () => {
    assert.deepStrictEqual(await run(entry, ["die"]).end, [null, "SIGKILL"])
  })

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("passes %s on once", async (signal) => {
    const { child, end, output, says } = run(entry)
    await says("up")
    child.kill(signal)
    assert.deepStrictEqual(await end, [7, null])
    assert.deepStrictEqual(output().match(/stop: .*/gu), [`stop: ${signal}`])
  })

  it("passes a Ctrl-C on once although the terminal sends it to the whole group", async () => {
    const { child, end, output, says } = run(entry)
    await says("up")
    process.kill(-child.pid!, "SIGINT")
    assert.deepStrictEqual(await end, [7, null])
    assert.deepStrictEqual(output().match(/stop: .*/gu), ["stop: SIGINT"])
  })

  it("passes a second signal on, which ends at once", async () => {
    const { child, end, says } = run(entry)
    await says("up")
    child.kill("SIGINT")
    await says("stop: SIGINT")
    child.kill("SIGTERM")
    assert.deepStrictEqual(await end, [143, null])
  })

  it("keeps a signal that comes before the newer one listens", async () => {
    const { child, end, output, says } = run(entry, [], { BOOT_MS: "300" })
    await says("booting")
    child.kill("SIGTERM")
    assert.deepStrictEqual(await end, [7, null])
    assert.include(output(), "stop: SIGTERM")
  })

  it("leaves no orphan when it is killed", async () => {
    const { child, end, output, says } = run(entry)
    await says("up")
    child.kill("SIGKILL")
    // Ends only when the newer one, which holds the same output, has ended too.
    await end
    assert.include(output(), "stop: the parent process is gone")
  })

  it("says in one line what to do where there is no newer Node", async () => {
    const { end, output } = run(lonely)
    assert.deepStrictEqual(await end, [1, null])
    assert.match(
      output(),
      /^solo needs Node 26 or newer, this is v\d+\.\d+\.\d+, .*"npm install".*\n$/,
    )
  })
})
