/** The script of a box: what it must not make Node load, and what it needs at least. */
import { execFileSync } from "node:child_process"
import { once } from "node:events"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"

import { firstDescriptor, spawnCommand } from "../../../plugins/boxes/Command.ts"
import { nodeFlags } from "../../../plugins/boxes/Enclosure.ts"
import { Handout } from "../../../plugins/boxes/Handout.ts"
import type { Boot } from "../../../plugins/boxes/inside/BoxRunner.ts"
import {
  Control,
  Cutter,
  encodePair,
  maxFrameBytes,
  pack,
  readControl,
} from "../../../plugins/boxes/Wire.ts"
import { bootstrapText, bundle } from "../../../plugins/realm/Assets.ts"
import { Inbound, Outbound, encode, headerBytes } from "../../../plugins/realm/Frame.ts"
import { identityOf } from "../../../plugins/realm/Session.ts"
import { programOf } from "../../contract/RuntimeClient.ts"

const tell = `require("fs").writeSync(1, JSON.stringify(process.moduleLoadList)); process.exit()`

/** Names of modules that Node had loaded when `script` reached the line that tells. */
const loadedBy = (script: string): ReadonlyArray<string> =>
  JSON.parse(
    execFileSync(process.execPath, [...nodeFlags(64), "--input-type=commonjs", "-e", script], {
      encoding: "utf8",
      input: "",
    }),
  ) as ReadonlyArray<string>

/** A runner that has booted with these flags of Node, and what it says of its walls. */
const bootWith = (flags: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const handout = yield* Effect.acquireRelease(
      Effect.sync(() => new Handout(Buffer.from(bootstrapText(), "latin1"))),
      (file) => Effect.sync(() => file.close()),
    )
    const args = [...flags, "--input-type=commonjs", "-e", bundle("boxes/BoxRunner.cjs")]
    const command = {
      file: process.execPath,
      args,
      files: [handout.descriptor],
      uid: undefined,
    }
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawnCommand(command)),
      (running) => Effect.sync(() => running.kill("SIGKILL")),
    )
    const boot: Boot = {
      handout: firstDescriptor,
      bootstrapBytes: handout.bootstrapBytes,
      cacheBytes: 0,
      makesCache: false,
      randomModule: "node:crypto",
      dataBytes: 0,
      leashed: true,
      walls: true,
    }
    child.stdin.write(pack(encode(Control.boot, 0, Buffer.from(JSON.stringify(boot)))))
    const frames = yield* Queue.unbounded<Uint8Array>()
    const cutter = new Cutter(maxFrameBytes, (frame) => Queue.offerUnsafe(frames, frame))
    child.stdout.on("data", (bytes: Buffer) => cutter.push(bytes))
    return { child, frames, control: readControl(yield* Queue.take(frames)) }
  })

/** What a runner says up to the first frame of this type. */
const hearUntil = (frames: Queue.Queue<Uint8Array>, type: number) =>
  Effect.repeat(Queue.take(frames), { until: (frame) => frame[0] === type })

/** A service that answers how many requests came at most before the promises of one went on. */
const counter = `let pending = 0, most = 0
  export default { async fetch() {
    most = Math.max(most, ++pending)
    await null
    pending--
    return new Response(String(most))
  } }`

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

  it.live("boots where node:ffi cannot be had, without the walls it would put up", () =>
    Effect.gen(function* () {
      const flags = nodeFlags(64).filter((flag) => flag !== "--allow-ffi")
      const { child, control } = yield* bootWith(flags)
      assert.strictEqual(control?.type, Control.booted)
      assert.deepStrictEqual(JSON.parse(control?.text ?? ""), {
        landlock: false,
        seccomp: false,
        leash: false,
      })
      child.stdin.end()
      assert.deepStrictEqual(yield* Effect.promise(() => once(child, "exit")), [0, null])
    }).pipe(Effect.scoped),
  )

  it.live("ends when its input does", () =>
    Effect.gen(function* () {
      const { child, control } = yield* bootWith(nodeFlags(64))
      assert.strictEqual(control?.type, Control.booted)
      child.stdin.end()
      assert.deepStrictEqual(yield* Effect.promise(() => once(child, "exit")), [0, null])
    }).pipe(Effect.scoped),
  )

  it.live("lets promises go on between pieces of what it hears", () =>
    Effect.gen(function* () {
      const { child, frames } = yield* bootWith(nodeFlags(64))
      const code = Buffer.from(counter)
      child.stdin.write(pack(encodePair(Control.assign, identityOf(programOf(counter)), code)))
      yield* hearUntil(frames, Outbound.ready)
      const frameBytes = 1024
      const padding = "x".repeat(frameBytes)
      const requests = Array.from({ length: 200 }, (_, id) => {
        const head = JSON.stringify(["GET", `http://box/?${padding}`, [], false])
        return pack(encode(Inbound.requestHead, id + 1, Buffer.from(head)))
      })
      // All of it is there before the runner looks: more than it may take in one turn.
      child.kill("SIGSTOP")
      child.stdin.write(Buffer.concat(requests))
      yield* Effect.sleep(20)
      child.kill("SIGCONT")
      let most = 0
      for (let n = 0; n < requests.length; n++) {
        const frame = yield* hearUntil(frames, Outbound.responseChunk)
        most = Math.max(most, Number(Buffer.from(frame.subarray(headerBytes)).toString()))
      }
      assert.isAbove(most, 1)
      assert.isAtMost(most, (64 * 1024) / frameBytes)
    }).pipe(Effect.scoped),
  )

  it("evaluates in the realm what is ASCII alone, and still says what it said", () => {
    const text = bootstrapText()
    assert.match(text, /^[\0-\u007f]*$/)
    assert.include(text, "{ fetch(request, ctx) { \\u2026 } }")
  })
})
