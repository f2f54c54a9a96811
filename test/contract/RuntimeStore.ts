/**
 * The part of the runtime contract that is about `ctx.store` (promises 1, 4 and 6), with the real
 * store of the kernel behind it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { KeyValueStore, type Runtime, ServiceId, type ServiceName, TenantId } from "solo"

import { serviceStoreOf } from "../../src/kernel/store/ServiceStore.ts"
import { layerStores } from "../kernel/Stores.ts"
import { ask, fetching, logUntil, noStore, startService } from "./RuntimeClient.ts"

const greeter: ServiceName = {
  tenantId: TenantId.make("acme"),
  serviceId: ServiceId.make("greeter"),
}

/** Answers with what became of every promise of `calls`, an expression for an array of them. */
const tell = (calls: string): string =>
  fetching(`const store = ctx.store
    const attempt = async (call) => call()
    const told = await Promise.allSettled(${calls}.map(attempt))
    return Response.json(told.map(({ status, value, reason }) => status === "fulfilled"
      ? value === undefined ? "nothing" : value
      : [reason.name, reason.code, reason.message, reason.key, reason.version].filter((part) => part !== undefined)))`)

/** Runs the suite against the driver that `layer` provides. */
export const storeContract = (name: string, layer: Layer.Layer<Runtime, unknown>): void => {
  const test = <E>(
    title: string,
    body: () => Effect.Effect<void, E, Runtime | KeyValueStore | Scope.Scope>,
  ) =>
    it.live(title, () =>
      Effect.scoped(body()).pipe(Effect.provide(Layer.merge(layer, layerStores()))),
    )

  const start = Effect.fnUntraced(function* (code: string) {
    return yield* startService(code, { store: yield* serviceStoreOf(greeter) })
  })
  const json = Effect.fnUntraced(function* (code: string) {
    const instance = yield* start(code)
    const { text } = yield* ask(instance)
    yield* instance.stop
    return JSON.parse(text) as unknown
  })

  describe(`${name}: store`, () => {
    test("what is put is there for the next instance, and says its version", () =>
      Effect.gen(function* () {
        const first = yield* json(
          fetching(`const { store } = ctx
            return Response.json([await store.get("a"), await store.put("a", { b: [1, null, "é😀"] }),
              await store.put("c", "text"), await store.delete("c"), await store.get("c"), await store.entry("c")])`),
        )
        assert.deepStrictEqual(first, [null, 1, 2, 3, null, null])
        const second = yield* json(fetching(`return Response.json(await ctx.store.entry("a"))`))
        assert.deepStrictEqual(second, { key: "a", version: 1, value: { b: [1, null, "é😀"] } })
      }))

    test("values come back as what they were", () =>
      Effect.gen(function* () {
        const told = yield* json(
          fetching(`const values = ["", "\\ud800 \\ufeff\\0", 0, -1.5e300, true, null, [], {}, { __proto__: null, a: undefined, b: 1 },
              JSON.parse('{"__proto__":{"x":1}}'), new Date(0), new Uint8Array(0), new Uint8Array([0, 255, 1]), crypto.getRandomValues(new Uint8Array(65536)), "x".repeat(65534)]
            const same = (left, right) => left instanceof Uint8Array
              ? right instanceof Uint8Array && left.length === right.length && left.every((byte, at) => byte === right[at])
              : JSON.stringify(left) === JSON.stringify(right)
            const kept = await Promise.all(values.map(async (value, at) => { await ctx.store.put("k" + at, value); return same(value, await ctx.store.get("k" + at)) }))
            return Response.json(kept)`),
        )
        assert.deepStrictEqual(
          told,
          Array.from({ length: 15 }, () => true),
        )
      }))

    test("what JSON would change in silence is refused, and traps run in vain", () =>
      Effect.gen(function* () {
        const told = (yield* json(
          tell(`[undefined, NaN, [Infinity], 1n, { a: 1n }, () => 1, Symbol("s"), { f() {} }, new DataView(new ArrayBuffer(1)),
            new Float64Array(1), { bytes: new Uint8Array(1) }, (() => { const a = []; a.push(a); return a })(),
            { get trap() { throw new Error("mine") } }, new Proxy({}, { ownKeys() { throw new Error("proxied") } }),
            { toJSON() { return undefined } }].map((value) => () => store.put("a", value))
            .concat(() => store.get("a"))`),
        )) as ReadonlyArray<ReadonlyArray<string>>
        const says = told.map((one) => (Array.isArray(one) ? one.join(": ") : one))
        for (const [at, what] of [
          /undefined cannot be stored/,
          /NaN cannot/,
          /Infinity cannot/,
          /a bigint cannot/,
          /a bigint cannot/,
          /a function cannot/,
          /a symbol cannot/,
          /a function cannot/,
          /a view that is no Uint8Array cannot/,
          /a view that is no Uint8Array cannot/,
          /bytes inside of a value cannot/,
          /TypeError: .*circular/,
          /Error: mine/,
          /Error: proxied/,
          /undefined cannot/,
          /^nothing$/,
        ].entries())
          assert.match(says[at] as string, what)
      }))

    test("what would be stored as an empty object or as null is refused, wherever it is", () =>
      Effect.gen(function* () {
        const told = (yield* json(
          tell(`[new Map([[1, 2]]), new Set([1]), Promise.resolve(1), /x/, new Error("x"), new ArrayBuffer(3),
            new Response("x"), new Headers(), { deep: [new Map()] }, [undefined], [1, , 2]].map((value) => () => store.put("a", value))
            .concat(() => store.get("a"))`),
        )) as ReadonlyArray<ReadonlyArray<string>>
        const says = told.map((one) => (Array.isArray(one) ? one.join(": ") : one))
        assert.strictEqual(says.pop(), "nothing")
        for (const what of says) assert.match(what as string, /^TypeError: .* cannot be stored/)
        const kept = yield* json(
          fetching(`class Point { x = 1 }
            await ctx.store.put("a", [new Point(), new Date(0), new URL("http://a/"), Object.assign(Object.create(null), { y: 2 })])
            return Response.json(await ctx.store.get("a"))`),
        )
        assert.deepStrictEqual(kept, [{ x: 1 }, "1970-01-01T00:00:00.000Z", "http://a/", { y: 2 }])
      }))

    test("hostile keys, queries and batches are refused one by one", () =>
      Effect.gen(function* () {
        const told = (yield* json(
          tell(`[() => store.get(7), () => store.get(), () => store.get(""), () => store.get("\\ud800"), () => store.get("x".repeat(513)),
            () => store.get("é".repeat(257)), () => store.put("x".repeat(1e6), 1), () => store.get({ toString() { throw new Error("ran") } }), () => store.get(new String("a")),
            () => store.put("big", "x".repeat(65535)), () => store.put("bigger", "x".repeat(1e6)), () => store.put("bytes", new Uint8Array(65537)),
            () => store.list(null), () => store.list({ limit: 0 }), () => store.list({ limit: 1001 }), () => store.list({ limit: NaN }), () => store.list({ limit: 1n }), () => store.list({ prefix: 1 }), () => store.list({ cursor: {} }),
            () => store.batch(), () => store.batch({}), () => store.batch([1]), () => store.batch([{ type: "drop", key: "a" }]), () => store.batch([{ type: "put", key: "a" }]),
            () => store.batch(Array(129).fill({ type: "delete", key: "a" })), () => store.batch(Array(1e9)), () => store.batch([{ type: "put", key: "a", value: "x".repeat(6e4) }, { type: "put", key: "b", value: "x".repeat(6e4) }, { type: "put", key: "c", value: "x".repeat(6e4) }]),
            () => store.batch([], { conditions: [{ key: "a", version: "1" }] }), () => store.batch([], { conditions: [{ key: "a", version: -1 }] }), () => store.batch([], { conditions: 5 }), () => store.batch([], { conditions: Array(200).fill({ key: "a", version: null }) }),
            () => store.batch([{ get type() { throw new Error("getter") } }]), () => store.list({})]`),
        )) as ReadonlyArray<ReadonlyArray<string>>
        for (const one of told.slice(0, -1)) {
          assert.isTrue(Array.isArray(one), JSON.stringify(one))
          assert.match(one[0]!, /^(TypeError|RangeError|Error)$/)
        }
        assert.deepStrictEqual(told.at(-1) as unknown, { entries: [] }, "nothing of it was stored")
      }))

    test("pages follow each other by the bytes of their keys, whatever cursor comes", () =>
      Effect.gen(function* () {
        const told = yield* json(
          fetching(`const keys = ["a", "a\\0", "a\\u007f", "aé", "a\\uffff", "a😀", "b", "\\0", "\\ufeff", "a/", "a/\\u{10ffff}"]
            await ctx.store.batch(keys.map((key) => ({ type: "put", key, value: key })))
            const all = []
            let cursor, rounds = 0
            do {
              const page = await ctx.store.list({ prefix: "a", limit: 2, cursor })
              all.push(...page.entries.map(({ key }) => key)); cursor = page.cursor; rounds++
            } while (cursor !== undefined)
            const foreign = (await ctx.store.list({ prefix: "a", cursor: "some/other/service" })).entries.length
            const early = (await ctx.store.list({ prefix: "a", cursor: "\\0" })).entries.length
            return Response.json([all, rounds, foreign, early, (await ctx.store.list()).entries.length, Object.keys(await ctx.store.list())])`),
        )
        assert.deepStrictEqual(told, [
          ["a", "a\0", "a/", "a/\u{10ffff}", "a\u007f", "aé", "a\uffff", "a😀"],
          4,
          0,
          8,
          11,
          ["entries", "cursor"],
        ])
      }))

    test("a page of large values holds what fits, and never nothing", () =>
      Effect.gen(function* () {
        const told = yield* json(
          fetching(`for (let n = 0; n < 5; n++) await ctx.store.put("k" + n, new Uint8Array(60000).fill(n))
            const sizes = []
            let cursor
            do {
              const page = await ctx.store.list({ cursor })
              sizes.push(page.entries.map(({ value }) => value[0])); cursor = page.cursor
            } while (cursor !== undefined)
            return Response.json(sizes)`),
        )
        assert.deepStrictEqual(told, [[0, 1], [2, 3], [4]])
      }))

    test("a batch is carried out whole, or its condition says why not", () =>
      Effect.gen(function* () {
        const told = yield* json(
          tell(`[async () => { await store.put("a", 1); await store.put("b", 1)
              const moved = await store.batch([{ type: "put", key: "a", value: 2 }, { type: "delete", key: "b" }, { type: "put", key: "c", value: 3 }],
                { conditions: [{ key: "a", version: 1 }, { key: "c", version: null }] })
              const refused = await store.batch([{ type: "put", key: "a", value: 9 }, { type: "put", key: "z", value: 9 }], { conditions: [{ key: "a", version: 1 }] }).catch((error) =>
                [error instanceof Error, error.name, error.code, error.key, error.version])
              return [moved, refused, (await store.list()).entries] }]`),
        )
        assert.deepStrictEqual(told, [
          [
            3,
            [true, "StoreError", "conflict", "a", 3],
            [
              { key: "a", version: 3, value: 2 },
              { key: "c", version: 3, value: 3 },
            ],
          ],
        ])
      }))

    test("of two that compare and set, one wins each round", () =>
      Effect.gen(function* () {
        const told = yield* json(
          fetching(`const increase = async () => {
              for (;;) {
                const entry = await ctx.store.entry("n")
                try { return await ctx.store.batch([{ type: "put", key: "n", value: (entry?.value ?? 0) + 1 }], { conditions: [{ key: "n", version: entry?.version ?? null }] }) }
                catch (error) { if (error.code !== "conflict") throw error }
              }
            }
            await Promise.all(Array.from({ length: 20 }, increase))
            return Response.json(await ctx.store.get("n"))`),
        )
        assert.strictEqual(told, 20)
      }))

    test("a thousand at once are answered, in order, and 5000 are not taken", () =>
      Effect.gen(function* () {
        const told = yield* json(
          fetching(`const versions = await Promise.all(Array.from({ length: 1000 }, (_, n) => ctx.store.put("k" + n, n)))
            const flood = await Promise.allSettled(Array.from({ length: 5000 }, () => ctx.store.get("k1")))
            return Response.json([versions.every((version, n) => version === n + 1),
              flood.filter(({ value }) => value === 1).length, [...new Set(flood.map(({ reason }) => reason?.message))]])`),
        )
        assert.deepStrictEqual(told, [
          true,
          64 + 4096,
          [null, "at most 4096 questions to the store may wait"],
        ])
      }))

    test("start and stop may use it", () =>
      Effect.gen(function* () {
        const instance = yield* start(`export default {
          async start(ctx) { await ctx.store.put("started", ctx.revision) },
          async stop(ctx) { await ctx.store.put("stopped", await ctx.store.get("started")) },
          fetch() {} }`)
        yield* instance.stop
        const stores = yield* KeyValueStore
        const entry = yield* stores.get(greeter, "stopped")
        assert.strictEqual(new TextDecoder().decode(entry!.value.bytes), "3")
      }))

    test("no tampering with the realm reaches more than the service itself", () =>
      Effect.gen(function* () {
        const instance = yield* start(
          fetching(`const { parse, stringify } = JSON; Promise = null; Map.prototype.get = () => { throw 1 }; TextEncoder.prototype.encode = () => new Uint8Array(9)
            JSON.parse = JSON.stringify = () => "tampered";
            const put = await ctx.store.put("a", { plain: true })
            const { plain } = await ctx.store.get("a")
            Object.assign(JSON, { parse, stringify })
            return new Response(String(put) + plain + Object.isFrozen(ctx.store) + Object.values(ctx.store).every(Object.isFrozen))`),
        )
        assert.strictEqual((yield* ask(instance)).text, "1truetruetrue")
        const stores = yield* KeyValueStore
        const entry = yield* stores.get(greeter, "a")
        assert.strictEqual(new TextDecoder().decode(entry!.value.bytes), '{"plain":true}')
      }))

    test("one that breaks its own tools breaks nothing else", () =>
      Effect.gen(function* () {
        const instance = yield* start(
          fetching(`Object.prototype.then = function (resolve) { resolve(this) }
            Array.prototype[Symbol.iterator] = Uint8Array.prototype.set = DataView.prototype.setFloat64 = undefined
            Array.prototype.push = () => { throw 1 }; Object.defineProperty(Object.prototype, "_tag", { get() { return "Page" }, set() {} })
            await Promise.allSettled([ctx.store.put("a", 1), ctx.store.get("a"), ctx.store.list()])`),
        )
        yield* Effect.ignore(Effect.timeout(ask(instance), 1000))
        yield* instance.kill
        const stores = yield* KeyValueStore
        assert.isFalse((yield* stores.list(greeter, { prefix: "", after: null, limit: 9 })).hasMore)
        assert.strictEqual(
          yield* json(fetching("return Response.json(await ctx.store.put('b', 1) > 0)")),
          true,
        )
      }))

    test("what the kernel refuses has a code, and what breaks tells nothing", () =>
      Effect.gen(function* () {
        const instance = yield* startService(
          tell(`[() => store.put("a", 1), () => store.get("a"), () => store.list()]`),
          {
            store: {
              write: () =>
                Effect.fail({ code: "quota-exceeded", message: "the quota is used up" } as const),
              get: () => Effect.die(new Error("a value")),
              list: noStore.list,
            },
          },
        )
        const { text } = yield* ask(instance)
        yield* instance.stop
        assert.deepStrictEqual(JSON.parse(text), [
          ["StoreError", "quota-exceeded", "the quota is used up"],
          ["StoreError", "unavailable", "the store cannot be reached now; try again later"],
          ["StoreError", "unavailable", "there is no store"],
        ])
        assert.deepStrictEqual(instance.lines, [])
      }))

    test("what an instance waits for ends with it", () =>
      Effect.gen(function* () {
        const ended = yield* Latch.make(false)
        const instance = yield* Effect.scoped(
          Effect.gen(function* () {
            const instance = yield* startService(
              fetching(`ctx.log.info("asking"); await ctx.store.get("a")`),
              {
                store: {
                  ...noStore,
                  get: () => Effect.onInterrupt(Effect.never, () => ended.open),
                },
              },
            )
            const asking = yield* Effect.forkChild(Effect.result(ask(instance)))
            yield* logUntil(instance, /asking/)
            yield* Effect.sleep(50)
            yield* instance.kill
            yield* Fiber.join(asking)
            return instance
          }),
        )
        yield* ended.await
        assert.deepStrictEqual(yield* instance.exit, { _tag: "Stopped" })
      }))
  })
}
