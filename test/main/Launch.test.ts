/**
 * A kernel's process from outside: its line, its files, its exit codes (promise 9).
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterEach, assert, beforeEach, describe, it } from "vitest"

const kernel = fileURLToPath(new URL("kernel.ts", import.meta.url))

/** The real one, as far as its modules are loaded. */
const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url))

const plugin = (name: string, start: string, stop: string, needs = "") => `
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { definePlugin, Gateway } from "solo"
const say = (text) => Effect.sync(() => process.stderr.write(text + "\\n"))
export default definePlugin({
  name: "${name}", version: "1.0.0", apiVersion: 1, needs: [${needs}], provides: [Gateway], config: Schema.Struct({}),
  layer: () => Layer.effect(Gateway, Effect.gen(function* () {
    yield* Effect.addFinalizer(() => ${stop})
    yield* ${start}
    return { url: "http://127.0.0.1:4711" }
  })),
})`

const fine = plugin("gate", "Effect.void", `say("gate closed")`)
const stuck = plugin("gate", "Effect.void", `Effect.andThen(say("closing"), Effect.never)`)
const broken = plugin("gate", "Effect.void", `Effect.die(new Error("cannot flush"))`)
const slow = plugin("gate", `Effect.andThen(say("starting"), Effect.never)`, `say("gate closed")`)
const failing = plugin("gate", `Effect.die(new Error("the port is taken"))`, "Effect.void")
const rejecting = plugin(
  "gate",
  `Effect.sync(() => void Promise.reject(new Error("lost")))`,
  "Effect.void",
)

describe("Launch", () => {
  let directory = ""
  const started: Array<ChildProcess> = []

  beforeEach(() => {
    directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "solo-launch-")))
  })
  afterEach(async () => {
    for (const child of started.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL")
        await once(child, "close")
      }
    }
    fs.rmSync(directory, { recursive: true })
  })

  const launch = (source: string, env: Record<string, string> = {}) => {
    fs.writeFileSync(join(directory, "gate.mjs"), source)
    const script = env["TEST_KERNEL"] === "main" ? main : kernel
    const child = spawn(process.execPath, [script], {
      cwd: directory,
      env: { PATH: process.env["PATH"], SOLO_PLUGINS: "./gate.mjs", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    })
    started.push(child)
    const texts = { out: "", err: "" }
    const waiting: Array<() => void> = []
    const collect = (name: "out" | "err") => (chunk: Buffer) => {
      texts[name] += chunk.toString()
      for (const look of waiting) look()
    }
    child.stdout.on("data", collect("out"))
    child.stderr.on("data", collect("err"))
    const says = (text: string) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (`${texts.out}${texts.err}`.includes(text)) resolve()
        }
        waiting.push(look)
        look()
      })
    const end = once(child, "close").then(([code]) => code as number | null)
    return { child, end, says, texts }
  }

  const inData = (name: string) => join(directory, "data", name)

  it("says in one line where it listens, and ends cleanly after SIGTERM (promise 9)", async () => {
    const { child, end, says, texts } = launch(fine)
    await says("listening")
    const { pid, url } = JSON.parse(fs.readFileSync(inData("kernel.json"), "utf8"))
    assert.deepStrictEqual([pid, url], [child.pid, "http://127.0.0.1:4711"])
    child.kill("SIGTERM")
    assert.strictEqual(await end, 0)
    assert.strictEqual(texts.out, "solo listening on http://127.0.0.1:4711\n")
    assert.include(texts.err, "gate closed")
    assert.deepStrictEqual(fs.readdirSync(join(directory, "data")).sort(), [
      "lock.db",
      "root-token",
    ])
    assert.notInclude(texts.err, fs.readFileSync(inData("root-token"), "utf8").trim())
  })

  it("stops cleanly when the signal comes while it starts", async () => {
    const { child, end, says, texts } = launch(slow)
    await says("starting")
    child.kill("SIGINT")
    assert.strictEqual(await end, 0)
    assert.include(texts.err, "gate closed")
  })

  it("stops cleanly when the signal comes while its modules are loaded", async () => {
    const hooks = `import { registerHooks } from "node:module"
      registerHooks({ load(url, context, next) {
        if (url.endsWith("/main/Launch.ts")) {
          process.stderr.write("loading")
          if (process.env.TEST_WAIT) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
        }
        return next(url, context) } })`
    const preload = `data:text/javascript,${encodeURIComponent(hooks)}`
    for (const wait of ["", "1"]) {
      const { child, end, says, texts } = launch(fine, {
        TEST_WAIT: wait,
        NODE_OPTIONS: `--import=${preload}`,
        TEST_KERNEL: "main",
        SOLO_PLUGINS: "",
        SOLO_PORT: "0",
      })
      await says("loading")
      child.kill("SIGTERM")
      assert.strictEqual(await end, 0, texts.err)
    }
  })

  it.each(["kernel.json", "root-token", "lock.db", "lock.json"])(
    "exits with 78 and a message where %s is a directory",
    async (name) => {
      fs.mkdirSync(inData(name), { recursive: true })
      const { end, texts } = launch(fine)
      assert.strictEqual(await end, 78)
      assert.match(texts.err, new RegExp(`${name}|directory`))
      assert.notInclude(texts.err, "    at ")
      assert.isTrue(fs.statSync(inData(name)).isDirectory())
    },
  )

  it("exits with 78 where the master key is a directory, and with what holds no key", async () => {
    fs.mkdirSync(inData("master-key"), { recursive: true })
    const first = launch(fine)
    assert.strictEqual(await first.end, 78)
    assert.match(first.texts.err, /master-key cannot be read: it is a directory/)
    fs.rmdirSync(inData("master-key"))
    fs.writeFileSync(inData("master-key"), "torn")
    const second = launch(fine)
    assert.strictEqual(await second.end, 78)
    assert.match(second.texts.err, /expected 32 bytes in base64/)
  })

  it("names the plugin that does not start, and gives up on it where told to", async () => {
    const { end, texts } = launch(slow, { SOLO_PLUGIN_START_TIMEOUT_MS: "100" })
    assert.strictEqual(await end, 1)
    assert.include(
      texts.err,
      "solo: plugin gate: did not start: it had not started after 100 ms (SOLO_PLUGIN_START_TIMEOUT_MS)",
    )
    assert.include(texts.err, "gate closed")
  })

  it("exits with 1 when a finalizer fails, and when shutdown takes too long", async () => {
    const first = launch(broken)
    await first.says("listening")
    first.child.kill("SIGTERM")
    assert.strictEqual(await first.end, 1)
    assert.include(first.texts.err, "cannot flush")
    const second = launch(stuck, { SOLO_SHUTDOWN_TIMEOUT_MS: "100" })
    await second.says("listening")
    second.child.kill("SIGTERM")
    assert.strictEqual(await second.end, 1)
    assert.include(second.texts.err, "SOLO_SHUTDOWN_TIMEOUT_MS (100 ms)")
  })

  it("exits at once at a second signal", async () => {
    for (const [second, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const) {
      const { child, end, says } = launch(stuck)
      await says("listening")
      child.kill(second === "SIGINT" ? "SIGTERM" : "SIGINT")
      await says("closing")
      child.kill(second)
      assert.strictEqual(await end, code)
    }
  })

  it("exits with 73 where another kernel holds the data directory (promise 7)", async () => {
    const first = launch(fine)
    await first.says("listening")
    const second = launch(fine)
    assert.strictEqual(await second.end, 73)
    assert.include(second.texts.err, `pid ${first.child.pid}`)
    assert.strictEqual(second.texts.out, "")
    assert.isTrue(fs.existsSync(inData("kernel.json")))
  })

  it("starts again over what kill -9 left", async () => {
    const first = launch(fine)
    await first.says("listening")
    first.child.kill("SIGKILL")
    await first.end
    const second = launch(fine)
    await second.says("listening")
    assert.strictEqual(
      JSON.parse(fs.readFileSync(inData("kernel.json"), "utf8")).pid,
      second.child.pid,
    )
  })

  it("exits with 78 and one line per mistake of the configuration", async () => {
    const { end, texts } = launch(fine, { SOLO_PORT: "no", SOLO_NONSENSE: "1" })
    assert.strictEqual(await end, 78)
    assert.strictEqual(texts.err.trim().split("\n").length, 2)
    const other = launch(fine, { SOLO_PLUGINS: "./missing.mjs" })
    assert.strictEqual(await other.end, 78)
    assert.match(other.texts.err, /plugin \.\/missing\.mjs: there is no file/)
    const third = launch(fine, { SOLO_RUNTIME: "warp" })
    assert.strictEqual(await third.end, 78)
    assert.match(third.texts.err, /SOLO_RUNTIME: there is no runtime driver warp/)
  })

  it("exits with 1 when a plugin does not start, and when nothing handles a rejection", async () => {
    const first = launch(failing)
    assert.strictEqual(await first.end, 1)
    assert.include(first.texts.err, "solo: plugin gate: did not start: the port is taken\n")
    fs.writeFileSync(
      join(directory, "stuck.mjs"),
      stuck.replace('"gate"', '"stuck"').replace("provides: [Gateway]", "provides: []"),
    )
    const second = launch(failing, {
      SOLO_SHUTDOWN_TIMEOUT_MS: "100",
      SOLO_PLUGINS: "./stuck.mjs,./gate.mjs",
    })
    assert.strictEqual(await second.end, 1)
    assert.include(second.texts.err, "SOLO_SHUTDOWN_TIMEOUT_MS (100 ms)")
    assert.include(second.texts.err, "the port is taken")
    const third = launch(rejecting)
    assert.strictEqual(await third.end, 1)
    assert.include(third.texts.err, "nothing handled this rejection")
  })
})
