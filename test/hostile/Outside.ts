/**
 * Services that abuse requests out of their realm: to get at what is near, at their neighbours of
 * other tenants, at the kernel's own objects, or to exhaust whoever carries the requests.
 */
import { type Scenario, type Target, fetching } from "./Scenario.ts"

/** Every way to write the loopback interface and what else is near. */
const near = ({ port }: Target): ReadonlyArray<string> =>
  [
    "127.0.0.1",
    "localhost",
    "0x7f.1",
    "0177.0.0.1",
    "2130706433",
    "127.1",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "127.0.0.1.",
    "①②⑦.⓪.⓪.①",
    "LOCALHOST",
    "sub.localhost",
  ].map((host) => `${host}:${port}`)

const everything = (target: Target) => ({
  services: ["*"],
  network: near(target).filter((destination) => !destination.includes(".:")),
})

const own = () => ({ services: ["*"] })

const make =
  (fate: Scenario["fate"], grants: Scenario["grants"]) =>
  (name: string, tries: string, body: string): Scenario => ({
    name,
    tries,
    source: fetching(body),
    fate,
    ...(grants === undefined ? {} : { grants }),
  })
const granted = make("answers", everything)
const bare = make("answers", undefined)
const bomb = make("either", own)

/** Tries a text as a URL in every way, and keeps what came. */
const reach = (list: string): string =>
  `const tried = await Promise.allSettled((${list}).map(async (url) => { const r = await fetch(url, { redirect: "manual" }); loot.push(r.status, await r.text()) }))`

/** All of them. */
export const outsideScenarios: ReadonlyArray<Scenario> = [
  granted(
    "out-near",
    "reach the loopback interface by any of its names, named in the spec",
    `const hosts = ${JSON.stringify(near({ port: 0 } as Target))}; ${reach("hosts.map((host) => 'http://' + host.replace(/0$/, target.port))")}; loot.push(tried.every(({ status }) => status === 'rejected'))`,
  ),
  bare(
    "out-unnamed",
    "reach what no spec names",
    reach(
      "['http://127.0.0.1:' + target.port, 'http://169.254.169.254/', 'https://example.com/', 'http://user@127.0.0.1/', 'file:///etc/passwd', 'data:,ESCAPED', 'blob:x', 'http://[fe80::1]/', 'ws://127.0.0.1:' + target.port]",
    ),
  ),
  granted(
    "out-neighbour",
    "call a neighbour of another tenant",
    "for (const id of ['neighbour', 'alice/neighbour', '../alice/neighbour', '..%2falice%2fneighbour', 'alice\\u0000neighbour', '__proto__', 'constructor', { toString: () => 'neighbour' }]) try { const r = await ctx.services.fetch(id, '/services/alice/neighbour/', { headers: { 'x-tenant-id': 'alice', host: 'alice' } }); loot.push(r.status, await r.text()) } catch (e) { loot.push(String(e.message)) }",
  ),
  granted(
    "out-plunder",
    "find Node from fetch, its promises, errors, signals and answers",
    `plunder([fetch, ctx.services])
     const promise = fetch('http://nowhere.invalid/'); plunder(promise); await promise.catch(plunder)
     const self = await ctx.services.fetch('nobody', '/'); plunder(self); plunder(self.body); plunder(self.headers); await self.text().then(plunder)
     await fetch('http://nowhere.invalid/', { signal: { get aborted() { plunder(this); return false }, addEventListener(...a) { plunder(a) } } }).catch(plunder)`,
  ),
  granted(
    "out-getters",
    "catch the host in getters, proxies and thenables of a request",
    `const trap = (t = {}) => new Proxy(t, { get(...a) { plunder(a); return Reflect.get(...a) }, has(...a) { plunder(a); return Reflect.has(...a) }, ownKeys(...a) { plunder(a); return Reflect.ownKeys(...a) } })
     const tries = [[trap()], ['http://nowhere.invalid/', trap({ method: 'POST', body: trap() })], [trap(new Request('http://nowhere.invalid/'))], ['http://nowhere.invalid/', { headers: trap({ a: '1' }), body: { then(...a) { plunder(a) } } }],
       ['http://nowhere.invalid/', { method: 'POST', body: new ReadableStream({ pull(c) { plunder(c); plunder(this); c.enqueue(trap(new Uint8Array(4))) } }) }]]
     for (const args of tries) { await Promise.resolve().then(() => fetch(...args)).catch(plunder); await Promise.resolve().then(() => ctx.services.fetch('nobody', ...args)).catch(plunder) }`,
  ),
  granted(
    "out-poison",
    "poison what carries a request and catch the host in it",
    `for (const C of [Map, Promise, Headers, Request, Response, ReadableStream, AbortSignal, URL, Uint8Array])
       for (const key of Reflect.ownKeys(C.prototype)) { const d = Reflect.getOwnPropertyDescriptor(C.prototype, key)
         if (key !== 'constructor' && d?.configurable && typeof d.value === 'function' && key !== 'then') { const original = d.value; C.prototype[key] = function (...args) { if (!isOurs(this)) loot.push('ESCAPED'); for (const arg of args) if (typeof arg === 'object') plunder(arg); return original.apply(this, args) } } }
     await ctx.services.fetch('nobody', '/', { method: 'POST', body: 'x' }).catch(plunder); await fetch('http://nowhere.invalid/').catch(plunder)`,
  ),
  bomb(
    "out-flood",
    "flood the kernel with requests that are refused",
    "for (let n = 0; n < 200; n++) await Promise.allSettled(Array.from({ length: 100 }, () => fetch('http://nowhere.invalid/')))",
  ),
  bomb(
    "out-circle",
    "call itself without end",
    "const r = await ctx.services.fetch(ctx.serviceId, '/'); loot.push(r.status)",
  ),
  bomb(
    "out-fan",
    "call itself without end, as often as it may",
    "await Promise.allSettled(Array.from({ length: 100 }, () => ctx.services.fetch(ctx.serviceId, '/')))",
  ),
  bomb(
    "out-detached",
    "call itself for ever, from outside of any request",
    "if (!globalThis.on) { globalThis.on = true; setInterval(() => { for (let n = 0; n < 100; n++) ctx.services.fetch(ctx.serviceId, '/').then((r) => r.text()).catch(() => {}) }, 1) }",
  ),
  bomb(
    "out-endless",
    "send itself bodies that never end, and read none",
    "if (request.method === 'POST' && new URL(request.url).pathname === '/e') return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)) } })); await Promise.allSettled(Array.from({ length: 50 }, () => ctx.services.fetch(ctx.serviceId, '/e', { method: 'POST', body: new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)) } }) })))",
  ),
  bomb(
    "out-huge",
    "send the kernel a body as large as its memory",
    "await ctx.services.fetch(ctx.serviceId, '/', { method: 'POST', body: new Uint8Array(5e7) }).catch(() => {}); loot.push(1)",
  ),
]
