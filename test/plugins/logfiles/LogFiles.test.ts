/**
 * Logs on a real disk: bounded whatever is written, whole after a torn write, and of any damage
 * only lines are lost (promises 4 and 6).
 */
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { type KeptLine, LogStore } from "solo"

import { layerLogFiles } from "../../../plugins/logfiles/index.ts"
import { LogFiles } from "../../../plugins/logfiles/LogFiles.ts"
import { sweep } from "../../../plugins/logfiles/Sweep.ts"
import { named } from "../../kernel/harness/Machine.ts"

const a = named("acme", "a")
const other = named("zeta", "a")
const start = Date.parse("2026-01-01T00:00:00.000Z")

const line = (n: number, message = `${n}`, fields?: KeptLine["fields"]): KeptLine => ({
  id: (start + n) * 1000,
  time: new Date(start + n).toISOString(),
  level: "info",
  message,
  ...(fields === undefined ? {} : { fields }),
})

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => line(from + n))

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "solo-logs-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true, force: true })),
)

const test = (title: string, body: (path: string) => Promise<void>) =>
  it.live(title, () => Effect.flatMap(directory, (path) => Effect.promise(() => body(path))))

const mebibyte = 1024 * 1024

const open = (path: string) => new LogFiles(join(path, "logs"), mebibyte)

const sizeOf = (path: string): number =>
  fs
    .readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + fs.statSync(join(entry.parentPath, entry.name)).size, 0)

const segments = (path: string): ReadonlyArray<string> => {
  const shelf = join(path, "logs", "acme", "a")
  return fs
    .readdirSync(shelf)
    .sort()
    .map((name) => join(shelf, name))
}

const texts = async (files: LogFiles) => (await files.read(a, {})).map(({ message }) => message)

describe("LogFiles", () => {
  test("keeps lines beyond the process, readable by nobody else on the machine", async (path) => {
    const written = [line(0), line(1, "b", { c: [1, { d: null }] }), line(2)]
    await open(path).append(a, written.slice(0, 2))
    await open(path).append(a, written.slice(2))
    const files = open(path)
    assert.deepStrictEqual(await files.read(a, {}), written)
    assert.strictEqual(await files.lastId(a), written[2]!.id)
    assert.deepStrictEqual(await files.read(other, {}), [])
    assert.strictEqual(await files.lastId(other), 0)
    const mode = (at: string) => fs.statSync(at).mode & 0o777
    assert.deepStrictEqual(
      [join(path, "logs"), join(path, "logs/acme/a"), ...segments(path)].map(mode),
      [0o700, 0o700, 0o600],
    )
  })

  test("keeps hostile lines one line each, and gives them back as they were", async (path) => {
    const odd = [
      "a\nb\r\nc",
      "\u001b]0;x\u0007\u001b[2J",
      "\ud800",
      "\u2028\u0000",
      "x".repeat(8192),
    ]
    const files = open(path)
    await files.append(
      a,
      odd.map((message, n) => line(n, message, { [message]: message })),
    )
    assert.deepStrictEqual(await texts(files), odd)
    const raw = fs.readFileSync(segments(path)[0]!, "utf8")
    assert.strictEqual(raw.split("\n").length, odd.length + 1)
    // oxlint-disable-next-line no-control-regex -- what must not reach a terminal
    assert.notMatch(raw.replaceAll("\n", ""), /[\u0000-\u001f]/)
  })

  test("never takes more than its bound, however much comes at once", async (path) => {
    const files = open(path)
    const long = "\u0001".repeat(8192)
    for (let batch = 0; batch < 20; batch++) {
      const many = Array.from({ length: 40 }, (_, n) => line(batch * 40 + n, long))
      await files.append(a, many)
      assert.isAtMost(sizeOf(path), mebibyte + 512 * 1024)
    }
    const kept = await files.read(a, {})
    assert.isAbove(kept.length, 8)
    assert.strictEqual(kept.at(-1)!.id, line(799).id)
    for (let n = 1000; n < 1200; n++) await open(path).append(a, [line(n, long)])
    assert.isAtMost(segments(path).length, 64)
    assert.isAtMost(sizeOf(path), mebibyte + 512 * 1024)
  })

  test("reads from a place or a time on without opening what is before", async (path) => {
    const files = open(path)
    const long = "x".repeat(4000)
    for (let n = 0; n < 200; n++) await files.append(a, [line(n, long)])
    const [first, ...rest] = segments(path)
    assert.isAbove(rest.length, 0)
    fs.writeFileSync(first!, "")
    const whole = await files.read(a, {})
    const from = whole[0]!
    assert.deepStrictEqual(await files.read(a, { after: from.id, limit: 5 }), whole.slice(1, 6))
    const since = Date.parse(whole[20]!.time)
    assert.deepStrictEqual(await files.read(a, { since }), whole.slice(20))
    assert.deepStrictEqual(await files.read(a, { level: "warn" }), [])
  })

  const damages: Readonly<Record<string, (path: string) => void>> = {
    "cut off in the middle of its last line": (path) =>
      fs.truncateSync(path, fs.statSync(path).size - 9),
    emptied: (path) => fs.truncateSync(path, 0),
    zeroed: (path) => fs.writeFileSync(path, Buffer.alloc(fs.statSync(path).size)),
    "full of garbage": (path) => fs.writeFileSync(path, Buffer.alloc(5000, 0xfe)),
    "full of other JSON": (path) =>
      fs.writeFileSync(path, 'null\n[]\n{"id":1e300}\n{"id":-1}\n7\n'),
    "a directory": (path) => {
      fs.rmSync(path)
      fs.mkdirSync(path)
    },
    gone: (path) => fs.rmSync(path),
    "far too large": (path) => fs.truncateSync(path, 5 * mebibyte),
    "full of lines from the future": (path) =>
      fs.writeFileSync(path, `${JSON.stringify({ ...line(0), id: Number.MAX_SAFE_INTEGER })}\n`),
  }
  for (const [damage, inflict] of Object.entries(damages))
    test(`loses lines only to a segment that is ${damage}`, async (path) => {
      const before = open(path)
      const long = "x".repeat(4000)
      for (let n = 0; n < 150; n++) await before.append(a, [line(n, long)])
      const [first, last] = segments(path)
      for (const target of [first!, last!]) {
        inflict(target)
        const files = open(path)
        const ids = (await files.read(a, {})).map(({ id }) => id)
        assert.isBelow(ids.length, 151)
        assert.isAtMost(await files.lastId(a), line(150).id)
        assert.deepStrictEqual(
          ids,
          [...new Set(ids)].sort((x, y) => x - y),
        )
      }
      const files = open(path)
      let n = 1000
      while (n < 1200) await files.append(a, [line(n++, long)]).catch(() => undefined)
      assert.strictEqual((await files.read(a, {})).at(-1)?.id, line(1199).id, "it goes on")
    })

  test("takes lines again that it may have already", async (path) => {
    await open(path).append(a, lines(0, 10))
    await open(path).append(a, lines(5, 12))
    assert.deepStrictEqual(
      await texts(open(path)),
      lines(0, 12).map(({ message }) => message),
    )
  })

  test("sweeps away what is old, then the oldest of what is too much", async (path) => {
    const files = open(path)
    const day = 86_400_000
    for (let n = 0; n < 30; n++) {
      const name = named(`t${n}`, "s")
      await files.append(name, [line(0)])
      const [segment] = fs.readdirSync(join(path, "logs", `t${n}`, "s"))
      const time = new Date(start + n * day)
      fs.utimesSync(join(path, "logs", `t${n}`, "s", segment!), time, time)
    }
    fs.writeFileSync(join(path, "logs", "stranger"), "not ours")
    const bounds = { totalBytes: mebibyte, maxAgeMs: 10 * day }
    const now = start + 29 * day
    assert.strictEqual(await sweep(files, now, bounds), 19)
    assert.strictEqual(await sweep(files, now, { ...bounds, totalBytes: 5 * 4096 }), 6)
    assert.strictEqual(await sweep(files, now, bounds), 0)
    const left = fs.readdirSync(join(path, "logs")).filter((name) => {
      const shelf = join(path, "logs", name, "s")
      return fs.existsSync(shelf) && fs.readdirSync(shelf).length > 0
    })
    assert.sameMembers(left, ["t25", "t26", "t27", "t28", "t29"])
    await files.append(named("t0", "s"), [line(1)])
    assert.deepStrictEqual(await files.read(named("t0", "s"), {}), [line(1)])
    assert.isTrue(fs.existsSync(join(path, "logs", "stranger")))
  })

  it.live("says what it could not do", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "logs")
      fs.writeFileSync(path, "in the way")
      const config = { directory: path, serviceMb: 1, totalMb: 1, maxAgeDays: 1 }
      yield* Effect.gen(function* () {
        const store = yield* LogStore
        const error = yield* Effect.flip(store.append(a, [line(0)]))
        assert.strictEqual(error._tag, "LogStoreFailed")
        assert.deepStrictEqual(yield* store.read(a, {}), [])
      }).pipe(Effect.provide(layerLogFiles(config).pipe(Layer.provideMerge(Logger.layer([])))))
    }),
  )
})
