/**
 * What a service printed, in a real kernel: still there after the kernel was killed or shut down,
 * and after the service was killed; nobody else's (promises 2, 4 and 6).
 */
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { call, dataDirectory, kernel, type KernelProcess, ready } from "./KernelProcess.ts"

const source = `let n = 0; export default {
  fetch(request, ctx) { for (let i = 0; i < 20; i++) ctx.log.info("line", { n: n++ }); return new Response("ok") },
  stop(ctx) { ctx.log.warn("the last words") } }`

interface Line {
  readonly time: string
  readonly message: string
  readonly fields?: { readonly n: number }
}

const read = async (running: KernelProcess, tenant: string, query = "") => {
  const items: Array<Line> = []
  let cursor: string | null = null
  do {
    const from: string = cursor === null ? "" : `&cursor=${cursor}`
    const page = await call(running, "GET", `/v1/services/talker/logs?limit=7${query}${from}`, {
      tenant,
    })
    if (page.status !== 200) return page.status
    items.push(...page.json.items)
    cursor = page.json.next
  } while (cursor !== null)
  return items
}

const numbers = (lines: number | ReadonlyArray<Line>) =>
  typeof lines === "number" ? lines : lines.map(({ fields, message }) => fields?.n ?? message)

const range = (length: number) => Array.from({ length }, (_, n) => n)

const talk = (running: KernelProcess) => call(running, "GET", "/services/acme/talker/")

const kept = async (running: KernelProcess, count: number) => {
  for (;;) {
    const lines = await read(running, "acme")
    if (typeof lines !== "number" && lines.length >= count) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe("ctx.log", () => {
  it.live("is kept through kill -9, shutdown and the service's own end", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const first = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(first)
        const body = { serviceId: "talker", source }
        await call(first, "POST", "/v1/services", { tenant: "acme", body })
        await talk(first)
        await kept(first, 20)
        // What was printed a moment ago may be lost with the process, what was before that not.
        await new Promise((resolve) => setTimeout(resolve, 1000))
        await talk(first)
        await first.end("SIGKILL")
      })
      const second = yield* kernel({ dataDir })
      const before = yield* Effect.promise(async () => {
        await ready(second)
        const lines = numbers(await read(second, "acme")) as ReadonlyArray<number>
        assert.deepStrictEqual(lines, range(lines.length))
        assert.isAtLeast(lines.length, 20)
        await talk(second)
        assert.strictEqual((await second.end("SIGTERM")).code, 0)
        return lines.length
      })
      const third = yield* kernel({ dataDir })
      yield* Effect.promise(async () => {
        await ready(third)
        const all = [...range(before), ...range(20), "the last words"]
        assert.deepStrictEqual(numbers(await read(third, "acme")), all, "a shutdown loses nothing")
        assert.strictEqual(await read(third, "other"), 404)
        await call(third, "DELETE", "/v1/services/talker", { tenant: "acme" })
        const dead = (await read(third, "acme")) as ReadonlyArray<Line>
        assert.deepStrictEqual(
          numbers(dead),
          [...all, "the last words"],
          "it died, its log did not",
        )
        const since = `&since=${dead.at(-1)!.time}`
        assert.deepStrictEqual(numbers(await read(third, "acme", since)), ["the last words"])
        assert.deepStrictEqual(numbers(await read(third, "acme", "&level=error")), [])
        assert.strictEqual(await read(third, "other"), 404)
      })
      const logs = join(dataDir, "logs")
      const entries = readdirSync(logs, { recursive: true, encoding: "utf8" })
      assert.isAbove(entries.length, 2)
      for (const entry of entries)
        assert.strictEqual(statSync(join(logs, entry)).mode & 0o077, 0, entry)
    }),
  )
})
