/**
 * Services that look for a way out of their realm: through globals, prototypes, arguments,
 * results, errors, getters, thenables and every function that the host lends them.
 */
import { type Scenario, fetching, loading, thief } from "./Scenario.ts"

const make =
  (fate: Scenario["fate"]) =>
  (name: string, tries: string, body: string): Scenario => ({
    name,
    tries,
    source: fetching(body),
    fate,
  })
const answers = make("answers")
const either = make("either")
const refused = make("refused")

/** Whatever is reachable from where a service stands. */
const walks: ReadonlyArray<Scenario> = [
  answers("walk-global", "find Node from the global object", "plunder(globalThis)"),
  answers("walk-ctx", "find Node from ctx", "plunder(ctx)"),
  answers("walk-request", "find Node from the request", "plunder(request)"),
  answers("walk-this", "find Node from this", "plunder(this)"),
  answers("walk-signal", "find Node from the signals", "plunder([request.signal, ctx.signal])"),
  answers(
    "walk-body",
    "find Node from a body's stream",
    "plunder(request.body); plunder(new Response('x').body)",
  ),
  answers(
    "walk-arguments",
    "find Node from the arguments object",
    "(function () { plunder(arguments) })()",
  ),
  answers(
    "walk-classes",
    "find Node from every class's instances",
    "for (const name of Reflect.ownKeys(globalThis)) { const C = globalThis[name]; if (typeof C === 'function') { attempt(() => plunder(new C('http://x'))); attempt(() => plunder(new C())) } }",
  ),
  answers(
    "walk-crypto",
    "find Node from what crypto returns",
    "plunder(await crypto.subtle.digest('SHA-256', new Uint8Array(3))); plunder(crypto.getRandomValues(new Uint8Array(8)))",
  ),
  answers(
    "walk-timer",
    "find Node from timers",
    "plunder(setTimeout(() => {}, 1)); await new Promise((r) => setTimeout(function () { plunder(this); plunder(arguments); r() }, 1))",
  ),
  answers(
    "walk-callers",
    "find Node from the caller of a callback",
    "function f() { attempt(() => plunder(f.caller)); attempt(() => plunder(arguments.callee.caller)) } await new Promise((r) => setTimeout(() => { f(); r() }, 1)); queueMicrotask(f)",
  ),
  either(
    "walk-console",
    "find Node through what console inspects",
    "console.log({ get x() { plunder(this); return 1 }, toJSON() { plunder(arguments) }, toString() { plunder(arguments); return '' } }, new Proxy({}, { get(...a) { plunder(a) }, ownKeys(...a) { plunder(a); return [] } }))",
  ),
]

/** Errors, the classic way out. */
const errors: ReadonlyArray<Scenario> = [
  refused(
    "error-import",
    "catch the outer realm's error of a failed import",
    "try { await import('node:fs') } catch (e) { plunder(e) }",
  ),
  refused(
    "error-import-data",
    "import a data: URL",
    "try { const m = await import('data:text/javascript,export default process'); loot.push('ESCAPED'); plunder(m) } catch (e) { plunder(e) }",
  ),
  refused(
    "error-import-file",
    "import the canary",
    "try { await import(target.file) } catch (e) { plunder(e); loot.push(String(e.message)) }",
  ),
  refused(
    "error-import-with",
    "import with options that trap",
    "try { await import({ toString() { plunder(arguments); return 'node:fs' } }, { with: { get type() { plunder(this); return 'json' } } }) } catch (e) { plunder(e) }",
  ),
  answers(
    "error-stack-overflow",
    "catch the error of an overflown stack inside a host function",
    "let caught; const f = () => { try { f() } catch (e) { try { console.log('x') } catch (e2) { caught = e2 } plunder(e) } }; f(); plunder(caught)",
  ),
  answers(
    "error-overflow-host",
    "overflow the stack in every host function",
    "const calls = [() => console.log('x'), () => setTimeout(() => {}, 1), () => performance.now(), () => crypto.getRandomValues(new Uint8Array(1)), () => crypto.randomUUID()]; for (const c of calls) { const f = () => { try { f() } catch (e) { plunder(e); try { c() } catch (e2) { plunder(e2) } } }; f() }",
  ),
  answers(
    "error-prepare",
    "have Error.prepareStackTrace called with outer call sites",
    "Error.prepareStackTrace = (e, sites) => { plunder(sites); for (const s of sites) { attempt(() => plunder(s.getThis())); attempt(() => plunder(s.getFunction())) } return 'x' }; attempt(() => new Error('x').stack); try { null.x } catch (e) { e.stack }",
  ),
  answers(
    "error-prepare-proxy",
    "have a proxy called for the stack of an error",
    "Error.prepareStackTrace = new Proxy(() => {}, { apply(t, self, list) { plunder(self); plunder(list); return 'x' } }); attempt(() => new Error('x').stack); try { null.x } catch (e) { e.stack }",
  ),
  answers(
    "error-unspeakable",
    "have the host fail to put an error into words",
    "for (const name of [Symbol('s'), { __proto__: null }, new Proxy(() => {}, { get(...list) { plunder(list) } })]) { const e = new Error('x'); e.name = name; attempt(() => e.stack) }",
  ),
  answers(
    "error-capture",
    "capture a stack trace onto outer objects",
    "const o = {}; Error.captureStackTrace(o); plunder(o); Error.stackTraceLimit = Infinity; plunder(new Error('x'))",
  ),
  answers(
    "error-syntax",
    "catch a syntax error of the outer realm",
    "try { new Function('return process') } catch (e) { plunder(e) } try { (0, eval)('process') } catch (e) { plunder(e) } try { new RegExp('(') } catch (e) { plunder(e) }",
  ),
  answers(
    "error-range",
    "catch errors of allocation",
    "for (const f of [() => new Array(-1), () => new ArrayBuffer(1e18), () => 'x'.repeat(1e10), () => new Uint8Array(1e15)]) { try { f() } catch (e) { plunder(e) } }",
  ),
  {
    name: "error-thrown-proxy",
    tries: "throw a proxy whose traps run in the host",
    source: fetching(
      "throw new Proxy(function () {}, new Proxy({}, { get: (t, trap) => (...a) => { plunder(a); return undefined } }))",
    ),
    fate: "dies",
  },
  {
    name: "error-rejected-proxy",
    tries: "reject a promise with a trap, for the host to look at",
    source: fetching(
      "Promise.reject(new Proxy({}, { get: (...a) => { plunder(a); ravage(a[2]) }, getPrototypeOf: () => { for (;;); } })); await new Promise(() => {})",
    ),
    fate: "dies",
  },
  {
    name: "error-load-proxy",
    tries: "throw a trap while the module is loaded",
    source: loading(
      "throw { get message() { plunder(this); return { toString() { plunder(arguments); return 'x' } } }, get stack() { plunder(arguments) } }",
    ),
    fate: "refused",
  },
]

const code: ReadonlyArray<Scenario> = [
  answers(
    "code-function",
    "compile code with every Function constructor",
    "for (const F of [function () {}, async () => {}, function* () {}, async function* () {}]) attempt(() => loot.push('ESCAPED ' + F.constructor('return process')()))",
  ),
  answers(
    "code-timer",
    "compile a string with setTimeout",
    "attempt(() => { setTimeout('globalThis.hit = 1', 1) }); await new Promise((r) => setTimeout(r, 10)); if (globalThis.hit) loot.push('ESCAPED')",
  ),
  answers(
    "code-wasm",
    "get WebAssembly",
    "const W = globalThis.WebAssembly ?? attempt(() => (0, eval)('WebAssembly')); if (W) loot.push('ESCAPED')",
  ),
  answers(
    "code-shared",
    "get shared memory and a clock from it",
    "if (globalThis.SharedArrayBuffer ?? globalThis.Atomics) loot.push('ESCAPED')",
  ),
  answers(
    "code-shadow",
    "make a realm of its own with more in it",
    "for (const name of ['ShadowRealm', 'Realm', 'Compartment', 'Worker', 'importScripts']) if (globalThis[name]) plunder(new globalThis[name]())",
  ),
  refused(
    "code-meta",
    "find Node in import.meta",
    "plunder(import.meta); if (import.meta.url || import.meta.resolve || import.meta.dirname) loot.push('ESCAPED ' + import.meta.url)",
  ),
  {
    name: "code-static-import",
    tries: "import node:fs statically",
    source: (target) =>
      `import fs from "node:fs"; ${thief(target)} export default { fetch: () => new Response(fs.readFileSync(target.file)) }`,
    fate: "refused",
  },
  {
    name: "code-reexport",
    tries: "re-export from node:process",
    source: () =>
      `export { env } from "node:process"; export default { fetch: () => new Response("x") }`,
    fate: "refused",
  },
]

/** Traps for what the host does with what a service gives it. */
const traps: ReadonlyArray<Scenario> = [
  either(
    "trap-prototypes",
    "poison every prototype and catch the host in it",
    `
    for (const C of [Object, Array, Function, String, Number, Promise, Map, Set, Uint8Array, ArrayBuffer, Error, RegExp])
      for (const key of Reflect.ownKeys(C.prototype)) { const d = Reflect.getOwnPropertyDescriptor(C.prototype, key)
        if (key !== 'constructor' && d?.configurable && typeof d.value === 'function' && !['then', 'toString', 'valueOf'].includes(key)) {
          const original = d.value; C.prototype[key] = function (...args) { if (!isOurs(this)) loot.push('ESCAPED'); return original.apply(this, args) } } }
    console.log([1], { a: 1 }); return answer()`,
  ),
  answers(
    "trap-array-setter",
    "catch what the host puts into an array",
    "Object.defineProperty(Array.prototype, '0', { configurable: true, set(v) { plunder(v); plunder(this) } }); console.log('x'); await null; delete Array.prototype[0]",
  ),
  either(
    "trap-object-setter",
    "catch what the host reads from Object.prototype",
    "for (const key of ['get', 'set', 'value', 'type', 'context', 'identifier', 'cachedData', 'then', 'signal', 'body']) Object.defineProperty(Object.prototype, key, { configurable: true, get() { if (!isOurs(this)) { loot.push('ESCAPED'); plunder(this) } return undefined }, set(value) { Object.defineProperty(this, key, { value, writable: true, configurable: true, enumerable: true }) } }); console.log('x'); await new Promise((r) => setTimeout(r, 5)); for (const key of ['get', 'set', 'value', 'type', 'context', 'identifier', 'cachedData', 'then', 'signal', 'body']) delete Object.prototype[key]",
  ),
  answers(
    "trap-thenable-result",
    "return a thenable and catch the host's resolvers",
    "return { then(resolve, reject) { plunder([resolve, reject]); resolve(answer()) } }",
  ),
  answers(
    "trap-promise-then",
    "replace Promise.prototype.then to catch the host's callbacks",
    "const then = Promise.prototype.then; Promise.prototype.then = function (a, b) { plunder([a, b]); return then.call(this, a, b) }; await new Promise((r) => setTimeout(r, 5)); Promise.prototype.then = then",
  ),
  answers(
    "trap-species",
    "answer with a promise of a hostile class",
    "class P extends Promise { static get [Symbol.species]() { return function (f) { plunder(f); f((v) => plunder(v), (v) => plunder(v)) } } then(a, b) { plunder([a, b]); return super.then(a, b) } } return P.resolve(answer())",
  ),
  answers(
    "trap-typed-array",
    "catch the host in typed arrays",
    "const set = Uint8Array.prototype.set; const P = Object.getPrototypeOf(Uint8Array.prototype); for (const key of ['set', 'slice', 'subarray']) { const original = P[key]; P[key] = function (...a) { if (!isOurs(this)) plunder(this); plunder(a); return original.apply(this, a) } } const b = new Uint8Array(9); Object.setPrototypeOf(b, new Proxy(Uint8Array.prototype, { get: (t, k, r) => { plunder(r); return Reflect.get(t, k, b) } })); crypto.getRandomValues(new Uint8Array(8)); attempt(() => crypto.getRandomValues(b)); return new Response(new Uint8Array([91, 93]))",
  ),
  answers(
    "trap-shared-window",
    "read the host's window of bytes after others",
    "const all = []; for (let n = 0; n < 50; n++) { const b = crypto.getRandomValues(new Uint8Array(64)); all.push(b.buffer) } plunder(all)",
  ),
  {
    name: "trap-thenable-module",
    tries: "export a then, so that importing calls it",
    source: (target) =>
      `${thief(target)} export const then = (a, b) => { plunder([a, b]); a({ default: { fetch: () => answer() } }) }; export default { fetch: () => answer() }`,
    fate: "answers",
  },
  {
    name: "trap-export-getter",
    tries: "export an object whose methods are getters that change",
    source: (target) =>
      `${thief(target)} let n = 0; export default { get fetch() { n++; const f = n < 9 ? () => answer() : { call: plunder }; plunder(f); return f }, get start() { return undefined } }`,
    fate: "answers",
  },
  {
    name: "trap-export-proxy",
    tries: "export a proxy",
    source: (target) =>
      `${thief(target)} export default new Proxy({ fetch: () => answer() }, { get(...a) { plunder(a); return Reflect.get(...a) }, apply: (...a) => plunder(a) })`,
    fate: "answers",
  },
  {
    name: "trap-response-proxy",
    tries: "return a proxy of a Response",
    source: fetching(
      "return new Proxy(new Response('x'), { get(...a) { plunder(a); return Reflect.get(...a) }, has(...a) { plunder(a); return true } })",
    ),
    fate: "dies",
  },
  answers(
    "trap-response-headers",
    "answer with headers whose iterator traps",
    "return new Response(JSON.stringify(loot), { headers: { *[Symbol.iterator]() { plunder(arguments); yield ['x-a', { toString() { plunder(this); return 'b' } }] } } })",
  ),
  answers(
    "trap-async-context",
    "unwind through a callback of the host",
    "await new Promise((resolve) => setTimeout(() => { try { resolve() } finally { plunder(this) } }, 1)); request.signal.addEventListener('abort', plunder)",
  ),
]

/** All of them. */
export const realmScenarios: ReadonlyArray<Scenario> = [...walks, ...errors, ...code, ...traps]
