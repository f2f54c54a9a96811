/**
 * The web's classes inside a realm behave as Node's own do: the same snippets run in both, and
 * give the same.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { layer } from "../../../plugins/threads/index.ts"
import { ask, bodyOf, startService } from "../../contract/RuntimeClient.ts"

const threw = (code: string) =>
  `try { ${code}; return "no error" } catch (e) { return e instanceof TypeError ? "TypeError" : e instanceof RangeError ? "RangeError" : e.name }`

const snippets: ReadonlyArray<string> = [
  // URL and URLSearchParams
  "return new URL('../b?x=1#y', 'HTTP://User:pw@Example.com:80/a/c/d').href",
  "return ['http://exa mple/', 'http://[::1', 'nope', 'http://a:99999/', '//x'].map((u) => URL.canParse(u))",
  "const u = new URL('http://a/b'); u.searchParams.append('ü&', '1 2'); u.hash = 'z'; u.port = '8080'; u.pathname = '/é/..//x'; return [u.href, u.origin, u.host, u.search]",
  "return ['http://0x7f.1/', 'http://192.168.257/', 'http://[::ffff:1.2.3.4]/', 'file:///C|/x', 'mailto:a@b', 'http://a/%7Efoo/%2e%2e/bar'].map((u) => new URL(u).href)",
  "const p = new URLSearchParams('a=1&b=2&a=3&c=%20+'); p.sort(); p.delete('b'); return [[...p], p.getAll('a'), p.has('c'), p.size, String(p)]",
  "return String(new URLSearchParams({ 'a b': 'ü', c: '*-._' }))",
  threw("new URL('x')"),
  // Headers
  "const h = new Headers({ B: '2', a: '1' }); h.append('b', '3'); h.append('Set-Cookie', 'x=1'); h.append('set-cookie', 'y=2'); return [[...h], h.get('B'), h.getSetCookie(), h.has('C')]",
  "const h = new Headers([['x', ' a ']]); h.set('X', '\\tb\\t'); h.delete('nope'); return [...h.entries(), ...h.keys(), ...h.values()]",
  threw("new Headers([['a b', 'c']])"),
  threw("new Headers([['a', 'c\\nd']])"),
  threw("new Headers([['a', 'ÿĀ']])"),
  threw("new Headers([['a']])"),
  threw("new Headers(null)"),
  threw("new Headers([['a', 'b', 'c']])"),
  threw("new Headers({ [Symbol('a')]: 'b' })"),
  "return [...new Headers([['a', undefined], ['b', null]])]",
  "const h = new Headers({ a: '1', b: '2' }), out = []; for (const [n] of h) { out.push(n); h.delete('b') } return [out, String(h.keys()), typeof Iterator.prototype.map.call(h.values(), (v) => v).next().value]",
  "const log = []; new Headers(new Proxy({ a: '1', b: '2' }, { ownKeys(t) { log.push('keys'); return Reflect.ownKeys(t) }, getOwnPropertyDescriptor(t, k) { log.push('own ' + k); return Reflect.getOwnPropertyDescriptor(t, k) }, get(t, k) { log.push('get ' + String(k)); return t[k] } })); return log",
  "const h = new Headers(); for (let i = 0; i < 200; i++) h.set('x-' + i, 'v'); const { sort } = Array.prototype; let sorts = 0; Array.prototype.sort = function (...all) { sorts++; return sort.apply(this, all) }; try { const copy = new Headers(h); return [[...copy].length, sorts < 4] } finally { Array.prototype.sort = sort }",
  "const h = new Headers({ b: '2' }), i = h.entries(); const first = i.next().value; first[1] = 'changed'; h.set('b', '3'); h.append('c', '4'); return [[...h], i.next().value, h.get('b')]",
  // Response
  threw(
    "const s = new ReadableStream({ start(c) { c.enqueue(new Uint8Array(1)); c.close() } }); const r = s.getReader(); await r.read(); r.releaseLock(); new Response(s)",
  ),
  "return [Response.error().status, Response.error().type, Response.error().ok]",
  "const r = new Response('ü'); return [r.status, r.ok, r.statusText, r.type, r.bodyUsed, [...r.headers], await r.text(), r.bodyUsed]",
  "const r = Response.json({ a: [1] }, { status: 201, headers: { x: 'y' } }); return [r.status, [...r.headers], await r.json()]",
  "const r = Response.redirect('http://a/b', 301); return [r.status, r.headers.get('location'), r.body]",
  "const r = new Response('abc'); const c = r.clone(); return [await r.text(), await c.text(), new TextDecoder().decode(await new Response('q').arrayBuffer())]",
  "const r = new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([104, 105])); c.close() } })); const c = r.clone(); return [await c.text(), await r.text()]",
  "const r = new Response(new URLSearchParams({ a: 'b c' })); return [r.headers.get('content-type'), await r.text()]",
  "const r = new Response(new Uint16Array([1, 2]).subarray(1)); return [r.headers.get('content-type'), [...new Uint8Array(await r.arrayBuffer())]]",
  "return [await new Response().text(), new Response().body, new Response(null).bodyUsed, new Response('').body === null]",
  "const r = new Response('x'); const b = r.body; return [b === r.body, b instanceof ReadableStream, b.locked, r.bodyUsed, await r.text(), r.bodyUsed]",
  "const r = new Response('{'); try { await r.json() } catch (e) { return e.name }",
  "return [await new Response('\\uFEFFabc').text(), await new Response('\\ud800').text()]",
  threw("const r = new Response('x'); await r.text(); await r.text()"),
  threw("const r = new Response('x'); await r.text(); r.clone()"),
  threw("const r = new Response('x'); r.body.getReader(); await r.text()"),
  threw("new Response('', { status: 199 })"),
  threw("new Response('', { status: 600 })"),
  threw("new Response('x', { status: 204 })"),
  threw("Response.redirect('http://a', 200)"),
  threw("Response.json(undefined)"),
  threw("new Response('', { statusText: '\\n' })"),
  // Request
  "const q = new Request('http://a/b', { method: 'post', body: 'x', headers: { y: 'z' } }); return [q.method, q.url, [...q.headers], await q.text()]",
  "const q = new Request('http://a/b', { method: 'patch' }); return [q.method, q.body, q.signal.aborted]",
  "const q = new Request('http://a/b', { method: 'POST', body: '{\"a\":1}' }); const c = q.clone(); return [await q.json(), await c.json(), q.bodyUsed]",
  "const q = new Request(new Request('http://a/b', { method: 'PUT', body: 'x' }), { headers: { n: '1' } }); return [q.method, q.headers.get('n'), await q.text()]",
  "const body = new Response('x').body; const q = new Request('http://a/b', { method: 'POST', body, duplex: 'half' }); return [q.method, await q.text()]",
  threw("new Request('http://a/', { body: 'x' })"),
  threw("new Request('/relative')"),
  threw("new Request('http://user:password@a/')"),
  threw("new Request('http://a/', { method: 'CONNECT' })"),
  threw("new Request('http://a/', { method: 'a b' })"),
  // Encoding
  "return [[...new TextEncoder().encode('aü😀\\ud800')], new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97, 0xff, 0xf0, 0x9f])), new TextDecoder('latin1').encoding]",
  "const d = new TextDecoder(); return [d.decode(new Uint8Array([0xf0, 0x9f]), { stream: true }), d.decode(new Uint8Array([0x98, 0x80]))]",
  threw("new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255]))"),
  threw("new TextDecoder('no-such')"),
  "const { read, written } = new TextEncoder().encodeInto('aü', new Uint8Array(2)); return [read, written]",
  "return [btoa('aÿ'), atob(' YQ = ='), atob('')]",
  threw("btoa('ü😀')"),
  threw("atob('a')"),
  // Streams
  "const t = new TransformStream({ transform(x, c) { c.enqueue(x * 2) } }); const w = t.writable.getWriter(); w.write(1); w.write(2); w.close(); const out = []; for await (const x of t.readable) out.push(x); return out",
  "const [a, b] = new ReadableStream({ start(c) { c.enqueue(1); c.close() } }).tee(); return [(await a.getReader().read()).value, (await b.getReader().read()).value]",
  "const out = []; await ReadableStream.from([1, 2, 3]).pipeTo(new WritableStream({ write(x) { out.push(x) } })); return out",
  "let pulls = 0; const s = new ReadableStream({ pull(c) { pulls++; c.enqueue(pulls) } }, { highWaterMark: 0 }); const r = s.getReader(); await r.read(); await r.read(); return pulls",
  "const s = new ReadableStream({ type: 'bytes', start(c) { c.enqueue(new Uint8Array([1, 2])); c.close() } }); const r = s.getReader({ mode: 'byob' }); const { value } = await r.read(new Uint8Array(8)); return [...value]",
  "const s = ReadableStream.from([new Uint8Array([0xc3]), new Uint8Array([0xbc])]).pipeThrough(new TextDecoderStream()); let t = ''; for await (const x of s) t += x; return t",
  threw("const s = new ReadableStream(); s.getReader(); s.getReader()"),
  // Events and aborting
  "const out = []; const t = new EventTarget(); const f = (e) => out.push(e.type); t.addEventListener('a', f); t.addEventListener('a', f); t.addEventListener('a', () => out.push('once'), { once: true }); t.dispatchEvent(new Event('a')); t.removeEventListener('a', f); t.dispatchEvent(new Event('a')); return out",
  "const t = new EventTarget(); t.addEventListener('a', (e) => e.preventDefault()); return [t.dispatchEvent(new Event('a')), t.dispatchEvent(new Event('a', { cancelable: true }))]",
  "const t = new EventTarget(), out = []; t.addEventListener('a', (e) => { out.push(1); e.stopImmediatePropagation() }); t.addEventListener('a', () => out.push(2)); t.addEventListener('b', { handleEvent() { out.push(3) } }); t.dispatchEvent(new Event('a')); t.dispatchEvent(new Event('b')); return out",
  threw("new Event()"),
  threw("new EventTarget().dispatchEvent({ type: 'a' })"),
  threw("new EventTarget().addEventListener('a', () => {}, { signal: null })"),
  "const e = new CustomEvent('a', { detail: 7, cancelable: true }); return [e.type, e.detail, e.isTrusted, e.composed, e.eventPhase, e.composedPath().length, String(e), e instanceof Event]",
  "const t = new EventTarget(), out = []; const f = () => out.push('f'); t.addEventListener('a', f); t.addEventListener('a', f, true); t.addEventListener('a', f, { capture: true }); t.removeEventListener('a', f, true); t.dispatchEvent(new Event('a')); return out",
  "const t = new EventTarget(), c = new AbortController(), out = []; t.addEventListener('a', () => out.push(1), { signal: c.signal }); t.dispatchEvent(new Event('a')); c.abort(); t.dispatchEvent(new Event('a')); return out",
  "const t = new EventTarget(); t.addEventListener('a', (e) => e.preventDefault(), { passive: true }); return t.dispatchEvent(new Event('a', { cancelable: true }))",
  "const t = new EventTarget(), e = new Event('a'), out = []; t.addEventListener('a', (x) => { out.push(x.target === t, x.currentTarget === t, x.eventPhase); x.stopImmediatePropagation() }); t.dispatchEvent(e); return [out, e.currentTarget, e.eventPhase]",
  "const c = new AbortController(); let trusted; c.signal.addEventListener('abort', (e) => (trusted = e.isTrusted)); c.abort(); return [trusted, String(c), String(c.signal)]",
  "const c = new AbortController(), out = []; c.signal.onabort = () => out.push('on'); c.signal.addEventListener('abort', () => out.push('listener')); c.abort(); c.abort('again'); return [out, c.signal.aborted, c.signal.reason.name]",
  "const c = new AbortController(); const s = AbortSignal.any([c.signal, new AbortController().signal]); c.abort(7); return [s.aborted, s.reason, AbortSignal.abort(1).reason]",
  "const s = AbortSignal.timeout(1); await new Promise((r) => s.addEventListener('abort', r)); return s.reason.name",
  threw("new AbortController().signal.constructor()"),
  "try { AbortSignal.abort().throwIfAborted() } catch (e) { return [e.name, e.code, e instanceof DOMException, e instanceof Error] }",
  // Cloning
  "const o = { d: new Date(5), m: new Map([[1, new Set([2])]]), r: /a/gi, n: null, b: new Uint8Array([1]), e: new RangeError('x') }; o.self = o; const c = structuredClone(o); return [c.d.getTime(), [...c.m.get(1)], String(c.r), c.self === c, c.b[0], c.e instanceof RangeError, c !== o]",
  threw("structuredClone(() => {})"),
  // Crypto
  "const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, '0')).join(''); const out = []; for (const a of ['SHA-1', 'sha-256', { name: 'SHA-384' }, 'SHA-512']) out.push(hex(await crypto.subtle.digest(a, new TextEncoder().encode('abc')))); return out",
  "const a = crypto.getRandomValues(new Uint32Array(64)); const id = crypto.randomUUID(); return [a.length, new Set(a).size > 60, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id), id !== crypto.randomUUID()]",
  threw("crypto.getRandomValues(new Float32Array(1))"),
  "try { await crypto.subtle.digest('MD5', new Uint8Array()) } catch (e) { return [e.name, e instanceof DOMException] }",
  threw("await crypto.subtle.digest('SHA-1', 'text')"),
  // Timers and microtasks
  "return await new Promise((resolve) => queueMicrotask((...all) => resolve(all.length)))",
  "const out = []; setTimeout(() => out.push(3), 20); setTimeout((x) => out.push(x), 1, 2); queueMicrotask(() => out.push(1)); const gone = setTimeout(() => out.push('never'), 1); clearTimeout(gone); out.push(0); await new Promise((r) => setTimeout(r, 40)); return out",
  "let n = 0; await new Promise((r) => { const i = setInterval(() => { if (++n === 3) { clearInterval(i); r() } }, 1) }); await new Promise((r) => setTimeout(r, 10)); return n",
  "const a = performance.now(); await new Promise((r) => setTimeout(r, 5)); const b = performance.now(); return [b > a, Math.abs(performance.timeOrigin + b - Date.now()) < 1000]",
  "return ['Request', 'Response', 'Headers', 'URL', 'AbortController', 'ReadableStream'].map((n) => [typeof globalThis[n], globalThis[n].name, Object.keys(globalThis).includes(n)])",
  "return [String(new Headers()), String(new Response()), String(new Request('http://a'))]",
]

const service = `const run = [${snippets.map((code) => `async () => { ${code} }`).join(",\n")}]
export default { async fetch(request) { return Response.json(await run[Number(await request.text())]() ?? null) } }`

// oxlint-disable-next-line no-new-func -- the snippets are this file's own
const AsyncFunction = (async () => {}).constructor as new (code: string) => () => Promise<unknown>

it.live("the web's classes do what Node's do", () =>
  Effect.gen(function* () {
    const instance = yield* startService(service)
    const wrong: Array<unknown> = []
    for (const [index, code] of snippets.entries()) {
      const expected = JSON.stringify((yield* Effect.promise(new AsyncFunction(code))) ?? null)
      const answer = yield* Effect.result(
        ask(instance, { method: "POST", body: bodyOf(String(index)) }),
      )
      const given = answer._tag === "Success" ? answer.success.text : answer.failure.message
      if (given !== expected) wrong.push({ code, expected, given })
    }
    assert.deepStrictEqual(wrong, [])
  }).pipe(Effect.scoped, Effect.provide(layer)),
)

it.live("encodings that are not there say so", () =>
  Effect.gen(function* () {
    const instance = yield* startService(
      `export default { fetch() {
        for (const make of [() => new TextDecoder("shift_jis"), () => new TextDecoderStream("gbk")])
          try { make(); return new Response("it is there") } catch (error) {
            if (!(error instanceof RangeError) || !error.message.includes("is not there")) return new Response(error.stack)
          }
        return new Response([new TextDecoder().encoding, new TextDecoder("utf-16be").encoding, new TextDecoder("koi8-r").encoding].join())
      } }`,
    )
    assert.strictEqual((yield* ask(instance)).text, "utf-8,utf-16be,koi8-r")
  }).pipe(Effect.scoped, Effect.provide(layer)),
)
