/**
 * A kernel that is killed while it replaces its master key, behind every step in turn, and while it
 * finishes at its next start what was cut short: every secret opens afterwards (promise 1).
 */
import { once } from "node:events"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { rotationSteps, type RotationStep, trapBehind } from "./campaign/Rotation.ts"
import { type Trap, trapped } from "./campaign/Traps.ts"
import {
  allEvents,
  call,
  dataDirectory,
  kernel,
  type KernelProcess,
  ready,
  spawnKernel,
} from "./KernelProcess.ts"

/** One more than are wrapped anew in one transaction. */
const tenants = 101

const secondPage: RotationStep = { ...rotationSteps.dataKeysWrapped, nth: tenants }
/** Nothing else is renamed at a start. */
const oldKeyRetiredAtStart: RotationStep = { ...rotationSteps.oldKeyRetired, nth: 1 }
const { keyAdded, keyRegistered, dataKeysWrapped, oldKeyDeleted, oldKeyRetired } = rotationSteps

/** Where kernels die one after the other: at work, or at their start, which finishes a rotation. */
const deaths: ReadonlyArray<readonly [when: "at work" | "at the start", step: RotationStep]> = [
  ["at work", keyAdded],
  ["at work", keyRegistered],
  ["at the start", dataKeysWrapped],
  ["at the start", oldKeyDeleted],
  ["at work", dataKeysWrapped],
  ["at work", secondPage],
  ["at the start", oldKeyRetiredAtStart],
  ["at work", oldKeyDeleted],
  ["at work", oldKeyRetired],
]

/** Longest time until a kernel dies at its start, in milliseconds, before the test says so. */
const startTimeoutMs = 60_000

const source = `export default { async fetch(request, ctx) {
  return new Response(await ctx.secrets.get("key")) } }`

const storeAll = async (running: KernelProcess): Promise<void> => {
  for (let n = 0; n < tenants; n++) {
    const stored = await call(running, "PUT", "/v1/secrets/key", {
      tenant: `t${n}`,
      body: { value: `value of t${n}` },
    })
    assert.strictEqual(stored.status, 200, stored.text)
  }
  const body = { serviceId: "reader", source, secrets: ["key"] }
  const deployed = await call(running, "POST", "/v1/services", { tenant: "t0", body })
  assert.strictEqual(deployed.status, 201, deployed.text)
}

/** Every secret opens, and says what it said. */
const check = async (running: KernelProcess, after: string): Promise<void> => {
  await ready(running)
  const read = await call(running, "GET", "/services/t0/reader/")
  assert.strictEqual(read.text, "value of t0", after)
  const verified = await call(running, "POST", "/v1/verification?full=true")
  assert.deepStrictEqual(verified.json.inconsistencies, [], after)
  const listed = await call(running, "GET", "/v1/secrets", { tenant: `t${tenants - 1}` })
  assert.strictEqual(listed.json.items.length, 1, after)
}

const settings = { pluginConfig: { boxes: { pool: 0 } } }

/** Rotates the key of a kernel, which dies of it, once all is well with what `before` has left. */
const dieAtWork = Effect.fnUntraced(function* (dataDir: string, trap: Trap, before: string) {
  const armed = `${trap.sprung}.armed`
  const env = trapped({ ...trap, armed })
  const running = yield* kernel({ dataDir, config: settings, env })
  yield* Effect.promise(async () => {
    await check(running, before)
    writeFileSync(armed, "")
    await call(running, "POST", "/v1/master-key/rotate").catch(() => undefined)
    await running.end("SIGKILL")
    rmSync(armed)
  })
}, Effect.scoped)

/** Starts a kernel that dies while it finishes the rotation that `before` has left. */
const dieAtStart = Effect.fnUntraced(function* (dataDir: string, trap: Trap, before: string) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawnKernel({ dataDir, config: settings, env: trapped(trap) })),
    (spawned) => Effect.sync(() => spawned.kill("SIGKILL")),
  )
  const end = Effect.promise(() => once(child, "close"))
  const [code, signal] = yield* Effect.timeout(end, startTimeoutMs)
  assert.deepStrictEqual([code, signal], [null, "SIGKILL"], before)
}, Effect.scoped)

/** A master key as the environment gives it. */
const keyOf = (byte: number) => Buffer.alloc(32, byte).toString("base64")

/** Runs a kernel with these keys from its start to a clean end; answers the system's events. */
const runWith = (dataDir: string, env: Readonly<Record<string, string>>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const running = yield* kernel({ dataDir, config: settings, env })
      return yield* Effect.promise(async () => {
        await ready(running)
        await call(running, "PUT", "/v1/secrets/key", { tenant: "t0", body: { value: "kept" } })
        const events = await allEvents(running)
        assert.deepStrictEqual(await running.end("SIGTERM"), { code: 0, signal: null })
        return events
      })
    }),
  )

/** How runs began and ended, and what the master key had to do with it. */
const outline = (events: ReadonlyArray<Record<string, unknown>>) =>
  events.flatMap(({ payload, type }) => {
    const { keys, previousEnd } = payload as { keys?: number; previousEnd?: string }
    if (type === "system_started") return [`started after ${previousEnd}`]
    if (type === "master_key_rotated") return [`rotated ${keys}`]
    return type === "system_shutdown_complete" ? ["complete"] : []
  })

describe("the replacement of the master key", () => {
  it.live("through the environment is a part of its run, and is over once (promise 9)", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      yield* runWith(dataDir, { SOLO_MASTER_KEY: keyOf(1) })
      const both = { SOLO_MASTER_KEY: keyOf(2), SOLO_MASTER_KEY_PREVIOUS: keyOf(1) }
      yield* runWith(dataDir, both)
      yield* runWith(dataDir, both)
      const events = yield* runWith(dataDir, { SOLO_MASTER_KEY: keyOf(2) })
      assert.deepStrictEqual(outline(events), [
        "started after none",
        "complete",
        "started after clean",
        "rotated 1",
        "complete",
        "started after clean",
        "complete",
        "started after clean",
      ])
    }),
  )

  it.live(
    "loses no secret when it is killed behind any of its steps (promise 1)",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const sprung = join(dataDir, "..", "sprung")
        yield* Effect.scoped(
          Effect.flatMap(kernel({ dataDir, config: settings }), (first) =>
            Effect.promise(async () => {
              await ready(first)
              await storeAll(first)
            }),
          ),
        )
        let before = "the first kernel"
        for (const [when, step] of deaths) {
          const trap = trapBehind(step, sprung)
          yield* (when === "at work" ? dieAtWork : dieAtStart)(dataDir, trap, before)
          before = `killed ${when}: ${JSON.stringify(step)}`
          assert.isTrue(existsSync(sprung), before)
          rmSync(sprung)
        }
        const last = yield* kernel({ dataDir, config: settings })
        yield* Effect.promise(() => check(last, before))
        const keys = readFileSync(join(dataDir, "master-key"), "utf8").trim().split("\n")
        assert.strictEqual(keys.length, 1, "the last rotation was over")
      }),
    300_000,
  )
})
