/**
 * A kernel on a full disk, a real one: it starts, its services answer, what was acknowledged is
 * there, and when there is room all goes on (promises 1 and 4).
 */
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { reserveBytes } from "../../src/main/Reserve.ts"
import { fillUp, smallFileSystem } from "../kernel/harness/SmallFileSystem.ts"
import { call, type KernelProcess, ready, runKernel, startKernel } from "./KernelProcess.ts"

const source = `export default { async fetch(request, { store }) {
  const key = new URL(request.url).searchParams.get("put")
  if (key === null) {
    let keys = 0, cursor
    do {
      const page = await store.list({ cursor })
      keys += page.entries.length
      cursor = page.cursor
    } while (cursor !== undefined)
    return Response.json(keys)
  }
  try {
    await store.put(key, "x".repeat(20000))
    return new Response("ok")
  } catch (error) {
    return new Response(error.code, { status: 507 })
  }
} }`

const start = (dataDir: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const kernel = await startKernel({ dataDir })
      await ready(kernel)
      return kernel
    }),
    (kernel) => Effect.promise(() => kernel.end("SIGKILL")),
  )

const ask = (kernel: KernelProcess, query = "") => call(kernel, "GET", `/services/acme/s/${query}`)

const deploy = Effect.fnUntraced(function* (kernel: KernelProcess) {
  const body = { serviceId: "s", source }
  const answer = yield* Effect.promise(() =>
    call(kernel, "POST", "/v1/services", { tenant: "acme", body }),
  )
  assert.strictEqual(answer.status, 201, answer.text)
})

/** Waits until the reserve holds at least so much room. */
const reserved = Effect.fnUntraced(function* (dataDir: string, bytes: number) {
  const path = join(dataDir, "reserve")
  while ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < bytes) yield* Effect.sleep(20)
})

/** Puts until the disk is full; answers how many puts were acknowledged. */
const putAll = async (kernel: KernelProcess): Promise<number> => {
  for (let n = 0; ; n++) {
    const { status, text } = await ask(kernel, `?put=${n}`)
    if (status === 200) continue
    assert.deepStrictEqual([status, text], [507, "disk-full"])
    return n
  }
}

const disk = Effect.map(smallFileSystem("8m"), (directory) =>
  directory === undefined
    ? undefined
    : {
        dataDir: join(directory, "data"),
        ballast: join(directory, "ballast"),
        filler: join(directory, "filler"),
      },
)

describe("a kernel on a full disk", () => {
  it.live("starts again and again, however it ended, and goes on when there is room", (context) =>
    Effect.gen(function* () {
      const files = yield* disk
      if (files === undefined) return context.skip("may not mount a file system here")
      const { ballast, dataDir, filler } = files
      writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024))
      const first = yield* start(dataDir)
      yield* deploy(first)
      yield* reserved(dataDir, reserveBytes)
      const kept = yield* Effect.promise(() => putAll(first))
      fillUp(filler)
      yield* Effect.promise(() => first.end("SIGKILL"))

      for (const signal of ["SIGKILL", "SIGKILL", "SIGTERM", "SIGTERM", "SIGKILL"] as const) {
        fillUp(filler)
        const kernel = yield* start(dataDir)
        assert.match(kernel.output().stderr, /the disk is full/)
        assert.strictEqual((yield* Effect.promise(() => ask(kernel))).json, kept, "promise 1")
        fillUp(filler)
        const body = { serviceId: "t", source: `${source} // ${"x".repeat(500_000)}` }
        const refused = yield* Effect.promise(() =>
          call(kernel, "POST", "/v1/services", { tenant: "acme", body }),
        )
        assert.include([503, 507], refused.status, refused.text)
        yield* Effect.promise(() => kernel.end(signal))
      }

      rmSync(filler)
      rmSync(ballast)
      const last = yield* start(dataDir)
      assert.strictEqual((yield* Effect.promise(() => ask(last, "?put=more"))).status, 200)
      assert.strictEqual((yield* Effect.promise(() => ask(last))).json, kept + 1)
      yield* reserved(dataDir, reserveBytes)
      const { code } = yield* Effect.promise(() => last.end("SIGTERM"))
      assert.strictEqual(code, 0)
    }),
  )

  it.live("starts with the room of its reserve where SQLite needs some", (context) =>
    Effect.gen(function* () {
      const files = yield* disk
      if (files === undefined) return context.skip("may not mount a file system here")
      const { dataDir, filler } = files
      const first = yield* start(dataDir)
      yield* deploy(first)
      yield* reserved(dataDir, reserveBytes)
      assert.strictEqual((yield* Effect.promise(() => first.end("SIGTERM"))).code, 0)
      fillUp(filler)
      const second = yield* start(dataDir)
      assert.isTrue(existsSync(join(dataDir, "kernel.json")))
      assert.strictEqual((yield* Effect.promise(() => ask(second))).json, 0)
      yield* reserved(dataDir, reserveBytes / 8)
      yield* Effect.promise(() => second.end("SIGTERM"))

      rmSync(filler)
      const third = yield* start(dataDir)
      yield* reserved(dataDir, reserveBytes)
      assert.strictEqual((yield* Effect.promise(() => third.end("SIGTERM"))).code, 0)
      rmSync(join(dataDir, "reserve"))
      fillUp(filler)
      const end = yield* Effect.promise(() => runKernel({ dataDir }))
      assert.strictEqual(end.code, 1, end.stderr)
      assert.match(
        end.stderr,
        /solo\.db cannot be used \(database or disk is full\); free space on the disk/,
      )
    }),
  )

  it.live("is refused with 1, and told what to do, where there is no room at all", (context) =>
    Effect.gen(function* () {
      const files = yield* disk
      if (files === undefined) return context.skip("may not mount a file system here")
      const { dataDir, filler } = files
      fillUp(filler)
      const end = yield* Effect.promise(() => runKernel({ dataDir }))
      assert.strictEqual(end.code, 1, end.stderr)
      assert.match(end.stderr, /solo: .*the disk is full; free a few MiB on it and start again\n$/)
      assert.isFalse(existsSync(join(dataDir, "root-token")))
      rmSync(filler)
      yield* start(dataDir)
    }),
  )
})
