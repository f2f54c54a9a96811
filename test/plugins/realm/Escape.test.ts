/**
 * Attempts to get out of a realm. Each service hunts for an object of another realm and, with
 * whatever it can find, tries to write a file. The verdict is the test's own: the file is not
 * there, nothing foreign was seen, the kernel's own objects are untouched and its next service
 * works (promise 6).
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { layer } from "../../../plugins/threads/index.ts"
import { ask, askOnce, bodyOf, fetching, startService } from "../../contract/RuntimeClient.ts"

/** Looks through everything it is shown for objects of another realm, and fires through them. */
const hunter = (file: string) => `
const home = Object.prototype, homeFunction = Function.prototype, log = console.error;
const { getPrototypeOf, getOwnPropertyDescriptors } = Object, ownKeys = Reflect.ownKeys;
const known = new WeakSet(), found = [];
const weakHas = WeakSet.prototype.has, weakAdd = WeakSet.prototype.add, apply = Reflect.apply;
const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";
const fire = (value) => {
  const code = "process.getBuiltinModule('node:fs').writeFileSync('${file}', 'out')";
  for (const make of [() => value.constructor.constructor, () => value.constructor, () => getPrototypeOf(value).constructor.constructor, () => value.__proto__.constructor.constructor, () => getPrototypeOf(getPrototypeOf(value)).constructor.constructor])
    try { make()(code)() } catch {}
  try { value.process?.getBuiltinModule("node:fs").writeFileSync(${JSON.stringify(file)}, "out") } catch {}
};
let looked = 0;
const seen = (value, name = "value") => {
  if (!isObject(value) || apply(weakHas, known, [value]) || looked++ > 5000) return;
  apply(weakAdd, known, [value]);
  fire(value);
  let top = value, hops = 0;
  try { for (let next = getPrototypeOf(top); next !== null && hops < 50; next = getPrototypeOf(next), hops++) top = next } catch {}
  if ((top !== home && top !== value) || (top === value && typeof value === "function")) { found[found.length] = name; log("FOREIGN " + name) }
  try {
    const all = getOwnPropertyDescriptors(value);
    const keys = ownKeys(all);
    for (let i = 0; i < keys.length && i < 200; i++) {
      const { value: inner, get, set } = all[keys[i]];
      const path = name + "." + (typeof keys[i] === "symbol" ? "symbol" : keys[i]);
      seen(inner, path); seen(get, path); seen(set, path);
    }
    seen(getPrototypeOf(value), name + ".__proto__");
  } catch (error) { seen(error, name + "!") }
};
const attempt = (act, name) => { try { const value = act(); seen(value, name); return value } catch (error) { seen(error, name + " threw") } };
const spied = (act, name) => new Proxy(act, { apply(_, self, list) { seen(self, name + " this"); seen(list, name + " list"); for (const arg of list) seen(arg, name); return apply(act, self, list) } });
const traps = (name) => new Proxy(function () {}, new Proxy({}, { get: (_, trap) => spied(Reflect[trap], name + " " + String(trap)) }));
const everything = async (request, ctx) => {
  attempt(() => new URL("nope"), "url"); attempt(() => new Response("", { status: 1 }), "status");
  attempt(() => new Headers([["a b", "c"]]), "headers"); attempt(() => atob("*"), "atob"); attempt(() => structuredClone(() => {}), "clone");
  attempt(() => crypto.getRandomValues(new Uint8Array(8)), "random"); attempt(() => crypto.randomUUID(), "uuid"); attempt(() => performance.now(), "now");
  attempt(() => console.log("x", { a: 1 }), "console"); attempt(() => ctx.log.info("y"), "log"); attempt(() => setTimeout(() => {}, 1), "timer");
  attempt(() => new TextEncoder().encode("x"), "encode"); attempt(() => new TextDecoder().decode(new Uint8Array(2)), "decode");
  attempt(() => new AbortController().abort(), "abort"); attempt(() => AbortSignal.abort().throwIfAborted(), "aborted");
  attempt(() => Response.json({}), "json"); attempt(() => new Request("http://a/", { method: "POST", body: "b" }), "request");
  try { seen(await request.text(), "text") } catch (error) { seen(error, "text") }
  try { seen(await crypto.subtle.digest("SHA-256", new Uint8Array(3)), "digest") } catch (error) { seen(error, "digest") }
  for (const name of ["x", 7]) try { seen(await ctx.secrets.get(name), "secret") } catch (error) { seen(error, "secret") }
  seen(ctx.secrets, "secrets"); seen(ctx.secrets.get, "get");
};
`

const ok = "return new Response('ok')"
const run = (act: string): string => fetching(`${act}; ${ok}`)

/** Pollution of `owner` with a function that shows all it is called with. */
const trap = (owner: string, names: string): string =>
  fetching(`
  const names = ${names}, owner = ${owner}, kept = {};
  for (const name of names) {
    const old = owner[name]; kept[name] = old; if (typeof old !== "function") continue;
    let busy = false;
    try { owner[name] = function (...args) { if (!busy) { busy = true; try { seen(this, name + " this"); for (let i = 0; i < args.length; i++) seen(args[i], name + " argument") } finally { busy = false } } return apply(old, this, args) } } catch {}
  }
  await everything(request, ctx); return new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(3)); c.close() } }), { headers: { a: "b" } })`)

const all = (owner: string) =>
  `Reflect.ownKeys(${owner}).filter((name) => name !== "constructor" && typeof name === "string")`

const attacks: Readonly<Record<string, string>> = {
  "the global object": run("seen(globalThis, 'global'); seen(this, 'this')"),
  "all that a request and ctx hold": run(
    "await everything(request, ctx); seen(request, 'request'); seen(ctx, 'ctx'); seen(request.body, 'body'); seen(request.signal, 'signal'); seen([...request.headers], 'headers')",
  ),
  "Function and its kin": run(
    `for (const f of [() => {}, async () => {}, function* () {}, async function* () {}]) attempt(() => f.constructor("return globalThis")(), "made"); attempt(() => (0, eval)("this"), "eval"); attempt(() => setTimeout("seen(this)"), "timer")`,
  ),
  "callers and arguments": run(
    "function f() { seen(f.caller, 'caller'); seen(f.arguments, 'arguments'); try { seen(arguments.callee.caller, 'callee') } catch {} } attempt(f); const o = { toString() { attempt(() => o.toString.caller, 'c'); return '' } }; ctx.log.info(o); new Headers([[o, o]])"
      .replace("; new Headers", "; try { new Headers")
      .replace("[[o, o]])", "[[o, o]]) } catch {}"),
  ),
  "call sites": run(
    `Error.prepareStackTrace = (error, sites) => { seen(sites, "sites"); for (const site of sites) { seen(site, "site"); for (const m of ["getThis", "getFunction", "getEvalOrigin", "getTypeName", "getFunctionName", "getPromiseIndex", "getScriptNameOrSourceURL"]) attempt(() => site[m](), m) } return "s" }; attempt(() => new Error("a").stack, "stack"); await everything(request, ctx); for (const act of [() => new URL("nope"), () => null.x]) try { act() } catch (e) { e.stack }`,
  ),
  "a proxy that is called for the trace of an error": run(
    `Error.prepareStackTrace = spied(() => "s", "prepare"); attempt(() => new Error("a").stack, "stack"); try { null.x } catch (e) { seen(e.stack) } await everything(request, ctx)`,
  ),
  "an error that cannot be put into words": run(
    `for (const [name, message] of [[Symbol("s"), ""], ["n", { __proto__: null }], [traps("name"), traps("message")], ["n", { toString: spied(() => "m", "toString") }]]) { const e = new Error("a"); e.name = name; e.message = message; attempt(() => e.stack, "stack"); console.log(e) } const e = new Error("a"); Object.defineProperty(e, "name", { get: spied(() => "n", "getter") }); attempt(() => e.stack, "stack"); Promise.reject(e); await new Promise((r) => setTimeout(r, 5))`,
  ),
  "a rejection that nobody handles, with a proxy as its prototype": run(
    `const proxy = (name) => new Proxy(Promise.prototype, { get: spied((t, key, r) => Reflect.get(t, key, t), name) }); const early = Promise.reject(1); Object.setPrototypeOf(early, proxy("early")); let reject; const late = new Promise((_, r) => { reject = r }); Object.setPrototypeOf(late, proxy("late")); reject(2); const value = new Promise((_, r) => { reject = r }); Object.setPrototypeOf(value, new Proxy({}, { get: () => ({ valueOf: spied(() => 1, "valueOf"), [Symbol.toPrimitive]: spied(() => 1, "toPrimitive") }) })); reject(3); await new Promise((r) => setTimeout(r, 5))`,
  ),
  "a proxy that constructs": run(
    `const made = new Proxy(class {}, { construct: spied((t, list, n) => Reflect.construct(t, list, n), "construct") }); seen(new made(1), "made"); seen(Reflect.construct(made, [2]), "made"); const { proxy, revoke } = Proxy.revocable(() => 1, { apply: spied(() => 2, "apply") }); seen(proxy(3), "revocable"); revoke(); try { proxy() } catch (e) { seen(e, "revoked") } try { Proxy({}, {}) } catch (e) { seen(e) } class Own { #x = 5; get() { return this.#x } apply() { return this.#x } } if (new Proxy(() => {}, Object.freeze(new Own()))() !== 5) seen({ __proto__: { __proto__: null } }, "this of a trap")`,
  ),
  "overflow while a trace is put into words": run(
    `for (let n = 0; n < 20; n++) { const dive = () => { try { void new Error("a").stack } catch (e) { seen(e, "deep") } dive() }; try { dive() } catch (e) { seen(e, "dive") } }`,
  ),
  "call sites of an overflow": run(
    `Error.prepareStackTrace = (error, sites) => { seen(error, "error"); seen(sites, "sites"); for (const site of sites) { attempt(() => site.getThis(), "this"); attempt(() => site.getFunction(), "function") } return "s" }; Error.stackTraceLimit = Infinity; const f = () => f(); try { f() } catch (e) { seen(e.stack); seen(e) }`,
  ),
  "call sites after await": run(
    `Error.prepareStackTrace = (error, sites) => { for (const site of sites) { seen(site, "site"); attempt(() => site.getThis(), "this"); attempt(() => site.getFunction(), "function") } return sites }; Error.stackTraceLimit = 100; await null; const e = {}; Error.captureStackTrace(e); seen(e.stack, "stack"); await new Promise((r) => setTimeout(() => { seen(new Error().stack, "timer"); r() }, 1))`,
  ),
  "a setter for the trace of an error": run(
    `Object.defineProperty(Error, "prepareStackTrace", { get() { seen(this, "getter"); return (e, s) => { seen(e, "e"); seen(s, "s") } } }); new Error().stack; try { atob("*") } catch (e) { seen(e.stack) }`,
  ),
  "overflow inside each host function": run(
    `for (const act of [() => crypto.getRandomValues(new Uint8Array(9)), () => console.log("x"), () => performance.now(), () => setTimeout(() => {}, 1e6), () => ctx.log.warn("y"), () => crypto.randomUUID(), () => reportMissing]) { let deep = 0; const dive = () => { try { dive() } catch (e) { seen(e, "dive") } if (deep++ < 300) try { act() } catch (e) { seen(e, "deep") } }; dive() }`,
  ),
  "setters on Object.prototype": run(
    `for (const name of ["then", "value", "get", "set", "constructor2", "type", "id", "length", "0", "1", "body", "headers", "signal", "buffer", "text", "_readable", "resolve", "reject", "env", "log"]) Object.defineProperty(Object.prototype, name, { configurable: true, set(v) { seen(this, name + " this"); seen(v, name) }, get() { seen(this, name + " this"); return undefined } }); await everything(request, ctx)`,
  ),
  "Function.prototype": trap("Function.prototype", '["call", "apply", "bind", "toString"]'),
  Reflect: trap("Reflect", all("Reflect")),
  Object: trap("Object", all("Object")),
  "Array.prototype": trap("Array.prototype", all("Array.prototype")),
  "String.prototype": trap("String.prototype", all("String.prototype")),
  "RegExp.prototype": trap("RegExp.prototype", '["exec", "test", "toString"]'),
  "Map.prototype": trap(
    "Map.prototype",
    all("Map.prototype").replace('"string"', '"string" && name !== "size"'),
  ),
  "Promise.prototype": trap("Promise.prototype", all("Promise.prototype")),
  Promise: trap("Promise", '["resolve", "reject", "all", "race"]'),
  "typed arrays": trap(
    "getPrototypeOf(Uint8Array.prototype)",
    '["set", "slice", "subarray", "fill", "join", "map"]',
  ),
  "JSON and Math": trap("JSON", '["parse", "stringify"]'),
  "WeakMap.prototype": trap("WeakMap.prototype", '["get", "set", "has"]'),
  iterators: fetching(
    `const next = getPrototypeOf([][Symbol.iterator]()); const old = next.next; let busy = false; next.next = function () { if (!busy) { busy = true; seen(this, "this"); busy = false } return apply(old, this, []) }; await everything(request, ctx); ${ok}`,
  ),
  "then of the module's own promise": `const old = Promise.prototype.then; try { Promise.prototype.then = function (...args) { for (const arg of args) seen(arg, "then argument"); return apply(old, this, args) } } catch {} await null; ${fetching(ok)}`,
  "a constructor for promises": `try { Object.defineProperty(Promise.prototype, "constructor", { get() { seen(this, "promise"); return class { constructor(run) { seen(run, "executor"); run((...a) => a, (...a) => a) } static get [Symbol.species]() { return this } } } }) } catch {} try { Object.defineProperty(Promise, Symbol.species, { get() { return class { constructor(run) { seen(run, "executor"); run(() => {}, () => {}) } } } }) } catch {} await null; ${fetching(ok)}`,
  "a module that is a thenable": `export function then(...args) { for (const arg of args) seen(arg, "then argument"); args[0]?.() } ${fetching(ok)}`,
  "a thenable from fetch": fetching(
    "return { then(...args) { for (const arg of args) seen(arg, 'then argument'); args[0](new Response('ok')) } }",
  ),
  "thenables from start and stop": `const thenable = { then(...args) { for (const arg of args) seen(arg, "then argument"); args[0]() } }; export default { start: () => thenable, stop: () => thenable, fetch() { ${ok} } }`,
  "a proxy as default export": `const target = { fetch() { ${ok} }, start() {} }; export default new Proxy(target, { get(t, key, receiver) { seen(receiver, "receiver"); return t[key] }, has(t, key) { return key in t } })`,
  "getters on the default export": `export default { get fetch() { seen(this, "this"); return function () { seen(this, "this of fetch"); for (const arg of arguments) seen(arg, "argument"); ${ok} } }, get start() { seen(this); return function () { seen(this); for (const arg of arguments) seen(arg, "ctx") } } }`,
  "traps thrown from fetch": fetching(
    "const e = traps('thrown'); queueMicrotask(() => {}); throw e",
  ),
  "traps in a rejection": run(
    `Promise.reject(traps("rejected")); await new Promise((r) => setTimeout(r, 5))`,
  ),
  "custom inspection": run(
    `const custom = { [Symbol.for("nodejs.util.inspect.custom")](...args) { for (const arg of args) seen(arg, "inspect") }, toString(...a) { seen(a); return "" } }; console.log(custom, new (class extends Error { [Symbol.for("nodejs.util.inspect.custom")](...args) { for (const arg of args) seen(arg, "inspect") } })()); ctx.log.error(custom); Promise.reject(custom); await new Promise((r) => setTimeout(r, 5))`,
  ),
  "an error with getters": fetching(
    "throw { get name() { seen(this); return { toString() { seen(this, 'name'); return 'n' } } }, get message() { seen(this); return 'm' }, get stack() { seen(this); return 's' } }",
  ),
  "import(), were it not refused by the compiler": run(
    `for (const name of ["node:fs", "data:text/javascript,1", traps("specifier"), { toString() { throw traps("thrown") } }]) { const p = attempt(() => import(name), "import"); try { seen(await p, "module") } catch (e) { seen(e, "error") } attempt(() => import(name, traps("options")).catch((e) => seen(e)), "options") }`,
  ),
  "import.meta": run("seen(import.meta, 'meta')"),
  "descriptors of a message": run(
    `class Mine extends Response { get status() { return seen(this), { valueOf() { seen(this); return 200 } } } get headers() { return traps("headers") } get body() { return traps("body") } } return new Mine("x")`,
  ),
  "replaced classes": run(
    `const R = Response; for (const name of ["Response", "Request", "Headers", "ReadableStream", "AbortController", "URL", "URLSearchParams", "DOMException", "Uint8Array", "Promise", "Map", "Object"]) globalThis[name] = traps(name); return new R("x")`,
  ),
  instanceof: run(
    `Object.defineProperty(ReadableStream, Symbol.hasInstance, { value(v) { seen(v, "instance"); return false } }); Object.defineProperty(Uint8Array, Symbol.hasInstance, { value(v) { seen(v, "instance"); return true } }); await everything(request, ctx); return new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(1)); c.close() } }))`,
  ),
  "species of typed arrays and a detached buffer": run(
    `class Odd extends Uint8Array { static get [Symbol.species]() { return class extends Uint8Array { constructor(...a) { super(...a); seen(this, "species") } } } get length() { return 3 } } return new Response(new ReadableStream({ start(c) { c.enqueue(new Odd(8)); const gone = new Uint8Array(8); gone.buffer.transfer(); c.enqueue(gone); c.close() } }))`,
  ),
  "resizable buffers that shrink": run(
    `const buffer = new ArrayBuffer(64, { maxByteLength: 1 << 20 }); const bytes = new Uint8Array(buffer); attempt(() => crypto.getRandomValues(bytes)); return new Response(new ReadableStream({ pull(c) { c.enqueue(bytes); buffer.resize(1); c.close() } }))`,
  ),
  "memory that is shared": run(
    `for (const name of ["SharedArrayBuffer", "Atomics", "WebAssembly"]) attempt(() => globalThis[name], name); attempt(() => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer)`,
  ),
  streams: run(
    `const s = new ReadableStream({ start(c) { seen(c, "controller"); c.enqueue(1); c.error(traps("stream")) } }); const r = s.getReader(); seen(r); try { seen(await r.read()); seen(await r.read()) } catch (e) { seen(e) }; const t = new TransformStream({ transform(x, c) { seen(c, "c") } }); seen(t); const w = t.writable.getWriter(); w.write(1).catch(() => {})`,
  ),
  "weak references": run(
    `const registry = new FinalizationRegistry((held) => seen(held)); registry.register({}, {}); seen(new WeakRef({}).deref()); await new Promise((r) => setTimeout(r, 5))`,
  ),
  "dates, locales and times": run(
    `seen(new Intl.DateTimeFormat().resolvedOptions()); seen(new Intl.Segmenter().segment("a")[Symbol.iterator]().next()); if (globalThis.Temporal) { seen(Temporal.Now.instant()); attempt(() => Temporal.PlainDate.from(traps("temporal"))) } attempt(() => new Date(traps("date")))`,
  ),
  disposal: run(
    `await (async () => { await using a = { async [Symbol.asyncDispose]() { seen(this); throw traps("dispose") } } })().catch((e) => seen(e))`,
  ),
  "a start that pollutes before it is called": `Object.defineProperty(Object.prototype, "then", { get() { seen(this, "then of"); return undefined }, configurable: true }); export default { start(ctx) { seen(ctx) }, fetch() { ${ok} } }`,
}

const attack = (code: string) =>
  Effect.gen(function* () {
    const directory = mkdtempSync(join(tmpdir(), "solo-escape-"))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => rmSync(directory, { recursive: true, force: true })),
    )
    const file = join(directory, "out")
    const before = Reflect.ownKeys(Object.prototype).length
    const instance = yield* startService(hunter(file) + code)
    yield* Effect.result(
      ask(instance, {
        method: "POST",
        headers: [["x-header", "value"]],
        body: bodyOf("some", "text"),
      }),
    )
    yield* Effect.timeoutOption(instance.stop, 2000)
    yield* instance.kill
    const { lines } = instance
    assert.isFalse(existsSync(file), "the service wrote a file")
    assert.strictEqual(Reflect.ownKeys(Object.prototype).length, before)
    assert.strictEqual((yield* askOnce(run(""))).text, "ok")
    return lines.map(({ message }) => message).filter((message) => message.includes("FOREIGN"))
  })

describe("a service cannot leave its realm through", () => {
  for (const [name, code] of Object.entries(attacks))
    it.live(name, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* attack(code), [])
      }).pipe(Effect.scoped, Effect.provide(layer)),
    )

  it.live("the hunter finds what is foreign, and can fire", () =>
    Effect.gen(function* () {
      const vm = yield* Effect.promise(() => import("node:vm"))
      const directory = mkdtempSync(join(tmpdir(), "solo-escape-"))
      const file = join(directory, "out")
      const said: Array<string> = []
      const context = vm.createContext({
        console: { error: (text: string) => said.push(text) },
        given: { inner: () => process },
      })
      vm.runInContext(`${hunter(file)}; seen(given, "given")`, context)
      assert.isTrue(existsSync(file))
      assert.include(said.join(), "FOREIGN given")
      rmSync(directory, { recursive: true })
    }),
  )
})
