/**
 * A box that has fallen to its service altogether: it writes whatever it likes into its pipes. The
 * kernel believes nothing of it, ends it, and goes on (promises 4 and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Program } from "solo"

import { Box } from "../../plugins/boxes/Box.ts"
import { Enclosure, findTools } from "../../plugins/boxes/Enclosure.ts"
import { startInBox } from "../../plugins/boxes/ServiceBox.ts"
import { makeSpawner } from "../../plugins/boxes/Spawner.ts"
import { makeWatch } from "../../plugins/boxes/Watch.ts"
import { ask, programOf } from "../contract/RuntimeClient.ts"

/** How long a hostile box may go on, in milliseconds. */
const patienceMs = 5000
/** How much more memory the kernel may have after it, in bytes. */
const maxGrowth = 150 * 1024 * 1024

/** What a hostile runner's script has at hand. */
const tools = `
const fs = require('node:fs')
const write = (b) => { for (let at = 0; at < b.length;) at += fs.writeSync(1, b, at) }
const frame = (type, id = 0, body = '') => { const b = Buffer.from(body), f = Buffer.alloc(9 + b.length); f.writeUInt32BE(5 + b.length, 0); f[4] = type; f.writeUInt32BE(id, 5); b.copy(f, 9); return f }
const send = (...args) => write(frame(...args))
const head = (status = 200, headers = [], hasBody = true) => JSON.stringify([status, headers, hasBody])
const ready = () => send(32)
const onRequest = (f) => { let rest = Buffer.alloc(0); process.stdin.on('data', (d) => { rest = Buffer.concat([rest, d]); for (;;) { if (rest.length < 4) return; const n = rest.readUInt32BE(0); if (rest.length < 4 + n) return; const type = rest[4], id = rest.readUInt32BE(5); rest = rest.subarray(4 + n); if (type === 1) f(id) } }) }
setTimeout(() => {}, 1e6)
`

/** Runners that forge. Each is to be ended, or to be ignored and time out. */
const forgeries: Readonly<Record<string, string>> = {
  garbage: "write(Buffer.alloc(1000, 0xff))",
  "random bytes": "write(require('node:crypto').randomBytes(1e6))",
  "text instead of frames": "write(Buffer.from('HTTP/1.1 200 OK\\r\\n\\r\\nhello'))",
  "an empty frame": "write(Buffer.alloc(4))",
  "a frame too short for its head": "write(Buffer.from([0, 0, 0, 2, 32, 0]))",
  "a frame of 4 GiB":
    "write(Buffer.from([255, 255, 255, 255])); for (;;) write(Buffer.alloc(65536))",
  "a frame just too long": "write(frame(39, 1, 'x'.repeat(140000)))",
  "a frame that never ends": "write(Buffer.from([0, 0, 200, 0, 39]))",
  "a type of the other direction": "ready(); send(1, 1, head())",
  "an unknown type": "ready(); send(77, 1)",
  "a pong nobody asked for": "ready(); send(196, 99, '[0,0]')",
  "figures out of this world": "ready(); send(196, 1, '[' + '9'.repeat(400) + ',-1]')",
  "to be booted once more": "send(193, 0, '{}'); ready(); send(193, 0, '{}')",
  "a boot of its own": "ready(); send(192, 0, 'x')",
  "a failure of 128 KiB": "send(33, 0, 'e'.repeat(128 * 1024))",
  "a failure that is no text": "write(frame(33, 0, Buffer.from([255, 254, 0, 200])))",
  "an answer to no request":
    "ready(); send(35, 12345, head()); send(36, 12345, 'x'); send(37, 12345)",
  "two heads": "ready(); onRequest((id) => { send(35, id, head()); send(35, id, head()) })",
  "a body before the head": "ready(); onRequest((id) => send(36, id, 'x'))",
  "an end before the head": "ready(); onRequest((id) => send(37, id))",
  "a head that is no JSON": "ready(); onRequest((id) => send(35, id, '[200'))",
  "a head that nests": "ready(); onRequest((id) => send(35, id, '['.repeat(60000)))",
  "a head with a prototype":
    'ready(); onRequest((id) => send(35, id, \'{"__proto__":{"status":200}}\'))',
  "a status of 99": "ready(); onRequest((id) => send(35, id, head(99)))",
  "a status of 1e308": "ready(); onRequest((id) => send(35, id, '[1e308,[],true]'))",
  "a header with a line break":
    "ready(); onRequest((id) => send(35, id, head(200, [['x', 'a\\r\\nset-cookie: b']])))",
  "a header without a name": "ready(); onRequest((id) => send(35, id, head(200, [['', 'a']])))",
  "a header that is an object":
    'ready(); onRequest((id) => send(35, id, \'[200,[{"0":"a","1":"b","length":2}],true]\'))',
  "thousands of headers":
    "ready(); onRequest((id) => send(35, id, head(200, Array.from({ length: 3000 }, (_, n) => ['x' + n, 'v']))))",
  "a body beyond its credit":
    "ready(); onRequest((id) => { send(35, id, head()); for (;;) send(36, id, Buffer.alloc(65536)) })",
  "a piece beyond its size":
    "ready(); onRequest((id) => { send(35, id, head()); send(36, id, Buffer.alloc(65537)) })",
  "endless empty pieces":
    "ready(); onRequest((id) => { send(35, id, head()); for (;;) send(36, id) })",
  "credit without end":
    "ready(); onRequest((id) => { for (;;) write(frame(34, id, Buffer.from([255, 255, 255, 255]))) })",
  "questions for secrets without end": "ready(); for (let id = 0; ; id++) send(41, id, 'x')",
  "the name of a secret of 128 KiB": "ready(); send(41, 1, 'x'.repeat(128 * 1024))",
  "questions to its store without end":
    "ready(); for (let id = 0; ; id++) send(42, id, '\\0\\0\\x01a')",
  "a question to its store that is none": "ready(); send(42, 1, '\\x07nonsense')",
  "a question to its store that ends too soon": "ready(); send(42, 1, '\\0\\xff')",
  "a batch that is none": "ready(); send(43, 1, 'x'.repeat(128 * 1024))",
  "a batch of 65535 writes": "ready(); send(43, 1, Buffer.from([255, 255, 0, 1, 97, 0]))",
  "a value of 4 GiB": "ready(); send(43, 1, Buffer.from([0, 1, 0, 1, 97, 2, 255, 255, 255, 255]))",
  "a key that is no text": "ready(); send(43, 1, Buffer.from([0, 1, 0, 1, 255, 0, 0, 0]))",
  "errands without end":
    'ready(); for (let id = 0; ; id++) send(45, id, \'["b","GET","http://b/",[],null]\')',
  "one errand again and again":
    'ready(); for (;;) send(45, 7, \'[null,"GET","http://b/",[],null]\')',
  "errands begun and given up without end":
    'ready(); for (let id = 0; ; id++) { send(45, id, \'["b","GET","http://b/",[],null]\'); send(49, id) }',
  "an errand that nests": "ready(); send(45, 1, '['.repeat(60000))",
  "an errand that is an object":
    'ready(); send(45, 1, \'{"0":"b","1":"GET","2":"","3":[],"4":null,"length":5}\')',
  "an errand beyond its credit":
    'ready(); send(45, 1, \'["b","POST","http://b/",[],-1]\'); for (;;) send(46, 1, Buffer.alloc(65536))',
  "pieces of an errand that never was":
    "ready(); const many = Buffer.concat(Array.from({ length: 100 }, (_, id) => frame(46, id, 'x'))); for (;;) write(many)",
  "an answer to an errand of its own": "ready(); send(12, 1, head()); send(14, 1)",
  "credit for errands without end":
    'ready(); send(45, 1, \'["b","GET","http://b/",[],null]\'); for (;;) write(frame(50, 1, Buffer.from([255, 255, 255, 255])))',
  "log lines without end":
    "ready(); const many = Buffer.concat(Array.from({ length: 1000 }, () => frame(39, 1, 'x'))); for (;;) write(many)",
  "the end of due times nobody sent":
    "ready(); for (let id = 0; id < 1e5; id++) { send(53, id); send(54, id, 'x') } process.exit(1)",
  "log lines with fields without end":
    "ready(); const many = Buffer.concat(Array.from({ length: 1000 }, () => frame(55, 1, '{}\\nx'))); for (;;) write(many)",
  "log lines whose fields are none":
    "ready(); for (const text of ['', '\\n', 'x', '[]\\nx', 'null\\n', '{\\n', '{\"a\":'.repeat(900) + '1' + '}'.repeat(900) + '\\nx', '['.repeat(60000) + '\\n']) send(55, 9, text); process.exit(1)",
  "log lines of bad levels":
    "ready(); for (const level of [4, 255, 2 ** 32 - 1]) send(39, level, Buffer.from([0xff, 0, 0x1b])); process.exit(1)",
  "to be ready for ever":
    "const many = Buffer.concat(Array.from({ length: 1000 }, () => frame(32))); for (let n = 0; n < 2000; n++) write(many); process.exit(3)",
  "to have stopped": "ready(); send(40); send(40); process.exit(0)",
  "nothing, with its output closed":
    "ready(); fs.closeSync(1); setTimeout(() => process.exit(0), 100)",
  "an error of 10 MB": "process.stderr.write('FATAL '.repeat(2e6)); process.exit(9)",
  "not to read": "ready(); for (;;);",
}

const startForger = Effect.fnUntraced(function* (script: string, log?: Program["log"]) {
  const enclosure = yield* Effect.acquireRelease(
    Effect.sync(() => new Enclosure("none", findTools(), false)),
    (enclosure) => Effect.sync(() => enclosure.close()),
  )
  // Like every box it is silent until it has heard something: what it said before could be lost.
  const heard = `${tools};process.stdin.once("readable", () => { ${script} })`
  const flags = ["--no-warnings", "-e", heard]
  const spawner = yield* makeSpawner(enclosure.files)
  const surroundings = {
    take: () =>
      Effect.sync(
        () =>
          new Box({
            spawner,
            command: enclosure.command(flags, 0),
            limits: { heapMb: 64, memoryMb: 160 },
            birth: { booted: () => {} },
          }),
      ),
    booted: () => Effect.void,
    watch: yield* makeWatch({ stallMs: 1000, cpuWindowMs: 10_000 }),
    responseMb: 16,
  }
  return yield* startInBox(surroundings, programOf("none", log === undefined ? {} : { log }))
})

describe("a box that forges", () => {
  for (const [what, script] of Object.entries(forgeries))
    it.live(
      what,
      () =>
        Effect.gen(function* () {
          const before = process.memoryUsage().rss
          const outcome = yield* startForger(script).pipe(Effect.timeout(patienceMs), Effect.result)
          if (Result.isFailure(outcome)) {
            assert.include(["StartFailed", "TimeoutError"], outcome.failure._tag)
          } else {
            const instance = outcome.success
            const answer = yield* Effect.result(Effect.timeout(ask(instance), patienceMs))
            assert.isTrue(Result.isFailure(answer), "it must not have answered")
            yield* instance.kill
            const exit = yield* instance.exit
            assert.include(["Crashed", "Stopped"], exit._tag)
          }
          assert.isBelow(process.memoryUsage().rss - before, maxGrowth)
        }).pipe(Effect.scoped),
      6 * patienceMs,
    )

  for (const [what, script, limit] of [
    [
      "frames that are cheap to write",
      "ready(); const many = Buffer.concat(Array.from({ length: 1000 }, () => frame(32))); for (;;) write(many)",
      "framesPerSecond",
    ],
    [
      "requests that it gives up again",
      'ready(); for (let id = 1; ; id++) write(Buffer.concat([frame(45, id, \'["b","GET","http://b/",[],null]\'), frame(49, id)]))',
      "fetchesPerSecond",
    ],
    [
      "lines of the log",
      "ready(); const many = Buffer.concat(Array.from({ length: 100 }, () => frame(39, 1, 'x'))); for (;;) write(many)",
      "linesPerSecond",
    ],
  ] as const)
    it.live(`one that floods the kernel with ${what} is ended for it`, () =>
      Effect.gen(function* () {
        const instance = yield* startForger(script)
        const exit = yield* instance.exit
        assert.strictEqual(exit._tag === "Crashed" ? exit.violation?.limit : exit._tag, limit)
      }).pipe(Effect.scoped),
    )

  it.live("lines of the log keep no more in memory than is kept of them", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const script =
        "ready(); const long = frame(39, 1, '\u0100' + 'x'.repeat(130000)); for (let n = 0; n < 1000; n++) write(long); send(39, 1, 'end')"
      const before = process.memoryUsage().rss
      const heard = yield* Deferred.make<void>()
      yield* startForger(script, ({ message }) => {
        lines.push(message)
        if (message === "end") Deferred.doneUnsafe(heard, Effect.void)
      })
      yield* Deferred.await(heard)
      assert.isTrue(lines.every(({ length }) => length <= 8192))
      globalThis.gc?.()
      assert.isBelow(process.memoryUsage().rss - before, maxGrowth)
    }).pipe(Effect.scoped),
  )

  it.live("an honest one is heard by the same kernel", () =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<string>()
      const instance = yield* startForger(
        "ready(); onRequest((id) => { send(35, id, head()); send(36, id, 'honest'); send(37, id) })",
      )
      yield* Deferred.succeed(done, (yield* ask(instance)).text)
      assert.strictEqual(yield* Deferred.await(done), "honest")
    }).pipe(Effect.scoped),
  )
})
