/**
 * Services that use up what they share with others: memory, time, logs, timers, responses.
 */
import { type Scenario, fetching, loading } from "./Scenario.ts"

const make =
  (fate: Scenario["fate"]) =>
  (name: string, tries: string, body: string): Scenario => ({
    name,
    tries,
    source: fetching(body),
    fate,
  })
const answers = make("answers")
const dies = make("dies")
const either = make("either")

const bombs: ReadonlyArray<Scenario> = [
  dies(
    "bomb-heap",
    "fill the heap with arrays",
    "const a = []; for (;;) a.push(new Array(1e5).fill(1.5))",
  ),
  dies("bomb-objects", "fill the heap with objects", "let o = {}; for (;;) o = { o }"),
  dies(
    "bomb-closures",
    "fill the heap from an interval",
    "const a = []; setInterval(() => { for (let n = 0; n < 1e5; n++) a.push(() => a) }, 1); await new Promise(() => {})",
  ),
  either(
    "bomb-buffers",
    "fill memory outside the heap",
    "const a = []; try { for (;;) a.push(new Uint8Array(32e6).fill(1)) } catch { a.length = 0 }",
  ),
  answers(
    "bomb-one-buffer",
    "take all memory in one buffer",
    "try { new Uint8Array(8e9).fill(1) } catch {}",
  ),
  dies(
    "bomb-resize",
    "grow resizable buffers",
    "const a = []; for (;;) { const b = new ArrayBuffer(1, { maxByteLength: 1e8 }); b.resize(1e8); new Uint8Array(b).fill(1); a.push(b) }",
  ),
  dies(
    "bomb-string",
    "double a string for ever",
    "let s = 'x'; const a = []; for (;;) { s += s; a.push(s.split('').length); if (s.length > 1e8) { a.push(s); s = String(Math.random()).repeat(1e6) } }",
  ),
  dies(
    "bomb-map",
    "fill a Map",
    "const m = new Map(); for (let n = 0; ; n++) m.set(n, 'x'.repeat(100) + n)",
  ),
  dies("bomb-bigint", "multiply until memory is full", "let b = 3n ** 10000n; for (;;) b = b * b"),
  dies(
    "bomb-sort",
    "sort without end",
    "const a = Array.from({ length: 1e6 }, Math.random); for (;;) a.sort(() => Math.random() - 0.5)",
  ),
  dies("bomb-regex", "backtrack for ever", "/^(([a-z])+.)+[A-Z]([a-z])+$/.test('a'.repeat(80))"),
  dies(
    "bomb-json",
    "nest JSON deeper than the stack and copy it",
    "let s = '1'; for (;;) { s = '[' + s + ',' + s + ']'; JSON.parse(s) }",
  ),
  dies(
    "bomb-promises",
    "chain promises without a pause",
    "const go = () => { Promise.resolve().then(go) }; go(); await new Promise(() => {})",
  ),
  dies(
    "bomb-microtasks",
    "queue microtasks without end",
    "const go = () => { queueMicrotask(go); queueMicrotask(go) }; go(); await new Promise(() => {})",
  ),
  answers(
    "bomb-timers",
    "set a million timers",
    "try { for (let n = 0; n < 1e6; n++) setTimeout(() => {}, 1e6) } catch {}",
  ),
  answers(
    "bomb-intervals",
    "set thousands of fast intervals",
    "try { for (let n = 0; n < 4000; n++) setInterval(() => {}, 1) } catch {}",
  ),
  answers(
    "bomb-structured-clone",
    "clone a thing that contains itself a thousandfold",
    "let o = {}; for (let n = 0; n < 18; n++) o = [o, o]; attempt(() => structuredClone(o))",
  ),
  dies(
    "bomb-encode",
    "encode huge texts",
    "for (;;) { new TextEncoder().encode('é'.repeat(2e7)); btoa('x'.repeat(2e7)) }",
  ),
  dies(
    "bomb-url",
    "parse huge URLs",
    "for (;;) attempt(() => new URL('http://x/?' + 'a=%41&'.repeat(3e6)))",
  ),
  dies(
    "bomb-digest",
    "hash for ever",
    "const b = new Uint8Array(5e7); for (;;) await crypto.subtle.digest('SHA-512', b)",
  ),
]

const floods: ReadonlyArray<Scenario> = [
  answers(
    "flood-log",
    "log without end",
    "for (let n = 0; n < 5e4; n++) console.log('x'.repeat(200))",
  ),
  answers("flood-long-log", "log a huge line", "console.log('y'.repeat(5e7))"),
  answers(
    "flood-log-interval",
    "log all the time",
    "setInterval(() => { for (let n = 0; n < 1000; n++) ctx.log.error('z') }, 1)",
  ),
  answers(
    "flood-log-control",
    "write terminal codes and newlines into the log",
    'console.log(\'\\x1b[2J\\n{"level":"fatal"}\\r\\n\\0\')',
  ),
  answers("flood-response", "answer with a large text", "return new Response('x'.repeat(4e7))"),
  answers(
    "flood-stream",
    "answer with a stream of tiny pieces",
    "let n = 0; return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1)); if (++n > 20000) c.close() } }))",
  ),
  dies(
    "flood-stream-greedy",
    "push into a stream that nobody reads",
    "return new Response(new ReadableStream({ start(c) { for (;;) c.enqueue(new Uint8Array(1e6).fill(1)) } }))",
  ),
  dies(
    "flood-headers",
    "answer with too many headers",
    "return new Response('x', { headers: Array.from({ length: 5000 }, (_, n) => ['x-' + n, 'v']) })",
  ),
  dies(
    "flood-header",
    "answer with a huge header",
    "return new Response('x', { headers: { 'x-big': 'v'.repeat(1e6) } })",
  ),
  dies("flood-error", "throw a huge error", "throw new Error('e'.repeat(1e7))"),
  answers(
    "flood-header-injection",
    "smuggle lines into headers",
    "attempt(() => new Response('x', { headers: { 'x-a': 'b\\r\\nset-cookie: c=d' } })); attempt(() => new Response('x', { headers: { 'x\\r\\ny': 'b' } }))",
  ),
  either(
    "flood-hop-headers",
    "answer with headers that belong to the connection",
    "return new Response('x', { headers: { connection: 'upgrade', 'transfer-encoding': 'chunked', 'content-length': '99999', upgrade: 'h2c', 'keep-alive': 'timeout=0' } })",
  ),
]

const loops: ReadonlyArray<Scenario> = [
  dies("loop-fetch", "loop in fetch", "for (;;);"),
  dies("loop-await", "never answer", "await new Promise(() => {})"),
  dies(
    "loop-timer",
    "loop in a timer after the answer is due",
    "setTimeout(() => { for (;;); }, 1); await new Promise(() => {})",
  ),
  dies(
    "loop-getter",
    "loop in a getter that the host reads",
    "throw { get message() { for (;;); }, get stack() { for (;;); } }",
  ),
  dies(
    "loop-abort",
    "loop when the request is aborted",
    "request.signal.addEventListener('abort', () => { for (;;); }); await new Promise(() => {})",
  ),
  {
    name: "loop-load",
    tries: "loop while it is loaded",
    source: loading("for (;;);"),
    fate: "refused",
  },
  {
    name: "loop-await-load",
    tries: "never finish loading",
    source: loading("await new Promise(() => {})"),
    fate: "refused",
  },
  {
    name: "loop-start",
    tries: "loop in start",
    source: () => "export default { start() { for (;;); }, fetch() {} }",
    fate: "refused",
  },
  {
    name: "loop-start-log",
    tries: "flood the log in start",
    source: () => "export default { start() { for (;;) console.log('x') }, fetch() {} }",
    fate: "refused",
  },
  {
    name: "bomb-load",
    tries: "fill the heap while it is loaded",
    source: loading("const a = []; for (;;) a.push(new Array(1e5).fill(0.5))"),
    fate: "refused",
  },
  {
    name: "loop-stop",
    tries: "loop in stop",
    source: (target) => loading("")(target).replace("fetch:", "stop() { for (;;); }, fetch:"),
    fate: "answers",
  },
  {
    name: "loop-crash",
    tries: "crash at once, for ever",
    source: () =>
      "export default { start() { setTimeout(() => { throw new Error('again') }, 1) }, async fetch() { await new Promise(() => {}) } }",
    fate: "dies",
  },
]

/** All of them. */
export const runawayScenarios: ReadonlyArray<Scenario> = [...bombs, ...floods, ...loops]
