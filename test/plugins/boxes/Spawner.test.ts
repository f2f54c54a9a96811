/**
 * The process that starts boxes: its boxes end with it and with the kernel, however those end
 * (promise 9), and the next order starts another.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, existsSync, openSync, readFileSync, readdirSync, readlinkSync } from "node:fs"
import { text } from "node:stream/consumers"

import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"

import { Box } from "../../../plugins/boxes/Box.ts"
import type { Command } from "../../../plugins/boxes/Command.ts"
import { childrenOf } from "../../../plugins/boxes/Figures.ts"
import { makeSpawner, type Spawner } from "../../../plugins/boxes/Spawner.ts"
import { ask, fetching, startService } from "../../contract/RuntimeClient.ts"
import { sharedBoxes } from "./Shared.ts"

/** Ends only when it is killed. */
const stubborn = `process.on("SIGTERM", () => {}); setInterval(() => {}, 1e6)`
const limits = { heapMb: 64, memoryMb: 160 }

const node = (script: string, files: ReadonlyArray<number> = []): Command => ({
  file: process.execPath,
  args: ["-e", script],
  files,
  uid: undefined,
})

const boxOf = (spawner: Spawner, command: Command) =>
  new Box({ spawner, command, limits, birth: { booted: () => {} } })

const until = (holds: () => boolean) =>
  Effect.repeat(Effect.sync(holds), { until: Boolean, schedule: Schedule.spaced(10) })

const startStubborn = Effect.fnUntraced(function* (spawner: Spawner) {
  const box = boxOf(spawner, node(stubborn))
  yield* until(() => box.pid !== undefined)
  return { box, pid: box.pid! }
})

const isThere = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))

/** The processes of this one that start boxes. */
const spawners = () =>
  childrenOf(process.pid).filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("SIGHUP"),
  )

const [spawnerUrl, figuresUrl] = ["Spawner.ts", "Figures.ts"].map(
  (file) => new URL(`../../../plugins/boxes/${file}`, import.meta.url).href,
)
/** A kernel of three stubborn boxes that says which processes those are. */
const kernel = `
const { Spawner } = await import(${JSON.stringify(spawnerUrl)})
const spawner = new Spawner([])
const command = ${JSON.stringify(node(stubborn))}
for (let n = 0; n < 3; n++)
  spawner.spawn(command, "usual", { started: (pid) => console.log(pid), input() {}, ended() {} })`

/** A file is left open for it at a high number, as by whoever starts a kernel. */
const startKernel = Effect.acquireRelease(
  Effect.sync(() => {
    const file = openSync(import.meta.filename, "r")
    const between = Array.from({ length: 96 }, () => "ignore" as const)
    const args = ["--conditions=solo-source", "--input-type=module", "-e", kernel]
    const stdio = ["ignore", "pipe", "inherit", ...between, file] as const
    const child = spawn(process.execPath, args, { stdio: [...stdio] })
    closeSync(file)
    return child
  }),
  (child) => Effect.sync(() => child.kill("SIGKILL")),
)

/** What the descriptors of a process lead to. */
const openOf = (pid: number) =>
  readdirSync(`/proc/${pid}/fd`).map((descriptor) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`)
    } catch {
      return ""
    }
  })

const pidsOf = async (child: ChildProcess): Promise<ReadonlyArray<number>> => {
  let printed = ""
  for await (const bytes of child.stdout!) {
    printed += String(bytes)
    if (printed.split("\n").length > 3) break
  }
  return printed.trim().split("\n").map(Number)
}

/** A kernel whose spawner is killed while it has no descriptors left for another one. */
const exhausted = `
const { Spawner } = await import(${JSON.stringify(spawnerUrl)})
const { closeSync, openSync } = await import("node:fs")
const { childrenOf } = await import(${JSON.stringify(figuresUrl)})
const spawner = new Spawner([])
const start = (script) =>
  new Promise((resolve) => {
    const parent = { started() {}, input() {}, ended: resolve }
    spawner.spawn({ ...${JSON.stringify(node(""))}, args: ["-e", script] }, "usual", parent)
  })
await start("0")
process.kill(childrenOf(process.pid)[0], "SIGKILL")
await new Promise((resolve) => setTimeout(resolve, 300))
const held = []
try { for (;;) held.push(openSync("/dev/null", "r")) } catch {}
const first = await start("0")
for (const descriptor of held) closeSync(descriptor)
const second = await start("process.exit(7)")
console.log(JSON.stringify([first.reason, second.code]))
await spawner.close()`

const driver = sharedBoxes({ pool: 0 })

describe.skipIf(process.platform !== "linux")("the process that starts boxes", () => {
  for (const isStopped of [false, true])
    it.live(
      `${isStopped ? "stopped by somebody " : ""}ends its boxes with the kernel, and itself`,
      () =>
        Effect.gen(function* () {
          const child = yield* startKernel
          const pids = yield* Effect.promise(() => pidsOf(child))
          const [own] = childrenOf(child.pid!)
          assert.isTrue([own!, ...pids].every(isThere))
          if (isStopped) process.kill(own!, "SIGSTOP")
          child.kill("SIGKILL")
          yield* until(() => ![own!, ...pids].some(isThere))
        }).pipe(Effect.scoped),
    )

  it.live("kills a box although somebody has stopped it", () =>
    Effect.gen(function* () {
      const before = spawners()
      const { box, pid } = yield* startStubborn(yield* makeSpawner([]))
      process.kill(
        spawners().find((each) => !before.includes(each))!,
        "SIGSTOP",
      )
      box.end({ reason: "the test" })
      assert.strictEqual((yield* Deferred.await(box.gone)).reason, "the test")
      assert.isFalse(isThere(pid))
    }).pipe(Effect.scoped),
  )

  it.live("passes nothing on to a box that the kernel was started with", () =>
    Effect.gen(function* () {
      const child = yield* startKernel
      const pids = yield* Effect.promise(() => pidsOf(child))
      assert.include(openOf(child.pid!), import.meta.filename)
      for (const pid of pids) assert.notInclude(openOf(pid), import.meta.filename)
    }).pipe(Effect.scoped),
  )

  it.live("leaves neither itself nor a box when its scope closes", () =>
    Effect.gen(function* () {
      const before = spawners()
      const { own, pid } = yield* Effect.scoped(
        Effect.gen(function* () {
          const { pid } = yield* startStubborn(yield* makeSpawner([]))
          return { pid, own: spawners().find((each) => !before.includes(each))! }
        }),
      )
      assert.isFalse(isThere(own))
      yield* until(() => !isThere(pid))
    }),
  )

  it.live("is not ended by a signal that is meant for the kernel", () =>
    Effect.gen(function* () {
      const before = spawners()
      const spawner = yield* makeSpawner([])
      const { box, pid } = yield* startStubborn(spawner)
      const own = spawners().find((each) => !before.includes(each))!
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.kill(own, signal)
      const other = yield* startStubborn(spawner)
      assert.isTrue([own, pid, other.pid].every(isThere))
      box.end({ reason: "the test" })
      assert.strictEqual((yield* Deferred.await(box.gone)).reason, "the test")
      assert.isFalse(isThere(pid))
      assert.isTrue(isThere(other.pid))
    }).pipe(Effect.scoped),
  )

  it.live("is started anew after it was killed, and says so to whom it had boxes of", () =>
    Effect.gen(function* () {
      const before = spawners()
      const spawner = yield* makeSpawner([])
      const { box, pid } = yield* startStubborn(spawner)
      process.kill(
        spawners().find((each) => !before.includes(each))!,
        "SIGKILL",
      )
      assert.include((yield* Deferred.await(box.gone)).reason, "has ended with SIGKILL")
      yield* until(() => !isThere(pid))
      const next = yield* startStubborn(spawner)
      assert.isTrue(isThere(next.pid))
    }).pipe(Effect.scoped),
  )

  it.live("takes a service along that it can start again", () =>
    Effect.gen(function* () {
      const instance = yield* startService(fetching("return new Response('one')"))
      for (const own of spawners()) process.kill(own, "SIGKILL")
      const exit = yield* instance.exit
      assert.strictEqual(exit._tag, "Crashed")
      assert.isTrue(Result.isFailure(yield* Effect.result(ask(instance))))
      const next = yield* startService(fetching("return new Response('two')"))
      assert.strictEqual((yield* ask(next)).text, "two")
    }).pipe(Effect.scoped, Effect.provide(driver)),
  )

  it.live("says so where it cannot be started, and is when it can", () =>
    Effect.gen(function* () {
      const args = ["--conditions=solo-source", "--input-type=module", "-e", exhausted]
      const child = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn("/bin/sh", ["-c", 'ulimit -n 100; exec "$0" "$@"', process.execPath, ...args], {
            stdio: ["ignore", "pipe", "inherit"],
          }),
        ),
        (running) => Effect.sync(() => running.kill("SIGKILL")),
      )
      const [reason, code] = JSON.parse(yield* Effect.promise(() => text(child.stdout))) as [
        string,
        number,
      ]
      assert.match(reason, /the process that starts boxes failed: .*EMFILE/)
      assert.strictEqual(code, 7)
    }).pipe(Effect.scoped),
  )

  it.live("says why a box could not be started", () =>
    Effect.gen(function* () {
      const spawner = yield* makeSpawner([])
      const missing = boxOf(spawner, { ...node(""), file: "/nowhere/node" })
      assert.match((yield* Deferred.await(missing.gone)).reason, /could not be started: .*ENOENT/)
      const failing = boxOf(spawner, node("throw 1"))
      assert.match((yield* Deferred.await(failing.gone)).reason, /exit code 1/)
    }).pipe(Effect.scoped),
  )

  it.live("a box that is ended before it was started is not there", () =>
    Effect.gen(function* () {
      const spawner = yield* makeSpawner([])
      for (let n = 0; n < 20; n++) {
        const box = boxOf(spawner, node(stubborn))
        box.send(new Uint8Array([1, 2, 3]))
        box.end({ reason: "too early" })
        assert.strictEqual((yield* Deferred.await(box.gone)).reason, "too early")
        assert.isFalse(box.pid !== undefined && isThere(box.pid))
      }
    }).pipe(Effect.scoped),
  )

  it.live("loses nothing that a box says once it was spoken to", () =>
    Effect.gen(function* () {
      const spawner = yield* makeSpawner([])
      const echo = { file: "/bin/cat", args: [], files: [], uid: undefined }
      const heard = Effect.callback<string>((resume) => {
        spawner.spawn(echo, "usual", {
          started: (_, output) =>
            output?.once("data", (bytes) => resume(Effect.succeed(String(bytes)))),
          input: (input) => input.write("hello"),
          ended: () => {},
        })
      })
      const all = yield* Effect.all(
        Array.from({ length: 50 }, () => heard),
        { concurrency: "unbounded" },
      )
      assert.deepStrictEqual(new Set(all), new Set(["hello"]))
    }).pipe(Effect.scoped),
  )

  it.live("opens a file anew for every box, which can only read it", () =>
    Effect.gen(function* () {
      const descriptor = yield* Effect.acquireRelease(
        Effect.sync(() => openSync(import.meta.filename, "r")),
        (file) => Effect.sync(() => closeSync(file)),
      )
      const script = `const fs = require("fs")
        const bytes = fs.readFileSync(3)
        let written = "no"
        try { fs.writeSync(3, "x"); written = "yes" } catch {}
        process.stderr.write(bytes.length + " " + written); process.exit(3)`
      const spawner = yield* makeSpawner([descriptor])
      const told = () =>
        Effect.callback<string>((resume) => {
          spawner.spawn(node(script, [descriptor]), "usual", {
            started: () => {},
            input: () => {},
            ended: ({ printed }) => resume(Effect.succeed(printed)),
          })
        })
      const expected = `${readFileSync(import.meta.filename).length} no`
      assert.strictEqual(yield* told(), expected)
      assert.strictEqual(yield* told(), expected)
    }).pipe(Effect.scoped),
  )
})
