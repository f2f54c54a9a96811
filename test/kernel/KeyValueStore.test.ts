/**
 * The stores of services against a model of them: whatever batches come, in whatever order, with
 * storage that fails in between and plugs that are pulled (promises 1 and 6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { SqlClient } from "effect/sql/SqlClient"

import type { Batch, Condition, Write } from "../../src/domain/KeyValue.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { KeyValueStore } from "../../src/kernel/store/KeyValueStore.ts"
import { serviceStoreOf } from "../../src/kernel/store/ServiceStore.ts"
import { makeDisk, takeImage } from "./harness/Disk.ts"
import { makeFaults } from "./harness/FaultyStorage.ts"
import { callerOf, named, settle } from "./harness/Machine.ts"
import { jsonValue, layerStores, plainOf, type StoreOptions } from "./Stores.ts"

const shop = named("acme", "shop")
const till = named("acme", "till")
const other = named("globex", "shop")

const put = (key: string, value: unknown): Write => ({ key, value: jsonValue(value) })
const remove = (key: string): Write => ({ key, value: null })
const batch = (writes: ReadonlyArray<Write>, conditions: ReadonlyArray<Condition> = []): Batch => ({
  writes,
  conditions,
})
const all = { prefix: "", after: null, limit: 1000 }

const on = <A, E>(
  body: Effect.Effect<A, E, KeyValueStore | EventStore | SqlClient>,
  options?: StoreOptions,
) => Effect.provide(body, layerStores(options))

const contents = Effect.fnUntraced(function* (name = shop) {
  const { entries } = yield* (yield* KeyValueStore).list(name, all)
  return Object.fromEntries(entries.map(({ key, value }) => [key, plainOf(value)]))
})

const figures = (name = shop) =>
  Effect.flatMap(KeyValueStore, (stores) =>
    Effect.map(stores.figures(name), ({ keys, bytes }) => ({ keys, bytes })),
  )

/** Holds the writing connection, so that what follows waits and shares the next transaction. */
const hold = Effect.gen(function* () {
  const sql = yield* SqlClient
  const released = yield* Deferred.make<void>()
  const holding = yield* Effect.forkChild(sql.withTransaction(Deferred.await(released)))
  yield* settle
  return { release: Effect.andThen(Deferred.succeed(released, undefined), Fiber.join(holding)) }
})

describe("KeyValueStore", () => {
  it.effect("keeps what was put through a pulled plug, for its own service alone", () =>
    Effect.gen(function* () {
      const disk = makeDisk()
      const image = yield* on(
        Effect.gen(function* () {
          const stores = yield* KeyValueStore
          yield* stores.write(shop, batch([put("a", 1), put("b", [2])]))
          yield* stores.write(other, batch([put("a", "theirs")]))
          yield* stores.write(shop, batch([remove("a"), put("c", 3)]))
          return takeImage(disk)
        }),
        { filename: disk.database },
      )
      yield* on(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* contents(), { b: [2], c: 3 })
          assert.deepStrictEqual(yield* contents(other), { a: "theirs" })
          assert.deepStrictEqual(yield* contents(till), {})
          assert.strictEqual(yield* (yield* KeyValueStore).write(shop, batch([put("d", 4)])), 3)
        }),
        { filename: image.database },
      )
    }),
  )

  it.effect("counts keys and bytes, and a batch that is refused changes neither", () =>
    on(
      Effect.gen(function* () {
        const stores = yield* KeyValueStore
        yield* stores.write(shop, batch([put("a", "x"), put("é", "x"), put("a", "xyz")]))
        assert.deepStrictEqual(yield* figures(), { keys: 2, bytes: 1 + 5 + 32 + 2 + 3 + 32 })
        const keys = yield* Effect.flip(stores.write(shop, batch([put("b", 1), put("c", 1)])))
        assert.strictEqual(keys._tag === "StoreQuotaExceeded" && keys.quota, "keys")
        const bytes = yield* Effect.flip(stores.write(shop, batch([put("a", "x".repeat(2000))])))
        assert.strictEqual(bytes._tag === "StoreQuotaExceeded" && bytes.quota, "bytes")
        const conflict = yield* Effect.flip(
          stores.write(shop, batch([put("a", 0)], [{ key: "a", version: 7 }])),
        )
        assert.deepInclude(conflict, { _tag: "StoreConflict", key: "a", version: 1 })
        assert.deepStrictEqual(yield* figures(), { keys: 2, bytes: 75 })
        yield* stores.write(shop, batch([remove("a"), put("b", 1), put("c", 1)]))
        assert.deepStrictEqual(yield* contents(), { b: 1, c: 1, é: "x" })
        yield* stores.write(shop, batch([remove("b"), remove("c"), remove("é"), remove("none")]))
        assert.deepStrictEqual(yield* figures(), { keys: 0, bytes: 0 })
      }),
      { settings: { storeMaxKeys: 3, storeMaxBytes: 1024 } },
    ),
  )

  it.effect("a tenant's stores together have a quota, and another's have their own", () =>
    on(
      Effect.gen(function* () {
        const stores = yield* KeyValueStore
        const large = batch([put("a", "x".repeat(700))])
        yield* stores.write(shop, large)
        const refused = yield* Effect.flip(stores.write(till, large))
        assert.strictEqual(refused._tag === "StoreQuotaExceeded" && refused.quota, "tenantBytes")
        yield* stores.write(other, large)
        yield* stores.clear(callerOf("acme"), shop)
        yield* stores.write(till, large)
        assert.strictEqual(
          (yield* Effect.flip(stores.write(shop, large)))._tag,
          "StoreQuotaExceeded",
        )
      }),
      { settings: { storeMaxTenantBytes: 1024 } },
    ),
  )

  it.effect("is removed with its event, in one moment, and its versions go on", () =>
    Effect.gen(function* () {
      const disk = makeDisk()
      const image = yield* on(
        Effect.gen(function* () {
          const stores = yield* KeyValueStore
          const sql = yield* SqlClient
          const many = Array.from({ length: 100 }, (_, n) => put(`k${n}`, n))
          yield* stores.write(shop, batch(many))
          yield* stores.write(till, batch([put("mine", 1)]))
          yield* stores.clear(callerOf("acme"), shop)
          const image = takeImage(disk)
          assert.deepStrictEqual(yield* contents(), {})
          assert.deepStrictEqual(yield* figures(), { keys: 0, bytes: 0 })
          assert.strictEqual(yield* stores.write(shop, batch([put("k1", "new")])), 2)
          yield* settle
          yield* settle
          const [left] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM store_entries`
          assert.strictEqual(left!.n, 2)
          const [cleared] = yield* (yield* EventStore).filter({ types: ["store_cleared"] })
          assert.deepInclude(cleared, { ...shop, actor: "token-of-the-test", payload: {} })
          assert.isFalse((yield* stores.figures(other)).exists)
          assert.strictEqual(
            (yield* Effect.flip(stores.clear(callerOf("globex"), other)))._tag,
            "StoreNotFound",
          )
          return image
        }),
        { filename: disk.database },
      )
      yield* on(
        Effect.gen(function* () {
          const sql = yield* SqlClient
          yield* settle
          yield* settle
          assert.deepStrictEqual(yield* contents(), {})
          assert.deepStrictEqual(yield* contents(till), { mine: 1 })
          const [left] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM store_entries`
          assert.strictEqual(left!.n, 1, "what was left is deleted by the next run")
        }),
        { filename: image.database },
      )
    }),
  )

  it.effect("those who wait together are judged one after the other", () =>
    on(
      Effect.gen(function* () {
        const stores = yield* KeyValueStore
        const { release } = yield* hold
        const racing = yield* Effect.forEach(Array.from({ length: 10 }), (_, n) =>
          Effect.forkChild(
            Effect.result(stores.write(shop, batch([put("n", n)], [{ key: "n", version: null }]))),
            { startImmediately: true },
          ),
        )
        yield* settle
        yield* release
        const results = yield* Effect.forEach(racing, Fiber.join)
        assert.deepStrictEqual(
          results.map(({ _tag }) => _tag),
          ["Success", ...Array.from({ length: 9 }, () => "Failure")],
        )
        assert.deepStrictEqual(yield* contents(), { n: 0 })
      }),
    ),
  )

  it.effect("whoever is interrupted before its turn takes its batch with it", () =>
    on(
      Effect.gen(function* () {
        const stores = yield* KeyValueStore
        const { release } = yield* hold
        const first = yield* Effect.forkChild(stores.write(shop, batch([put("first", 1)])), {
          startImmediately: true,
        })
        yield* settle
        const second = yield* Effect.forkChild(stores.write(shop, batch([put("second", 1)])), {
          startImmediately: true,
        })
        yield* settle
        yield* Fiber.interrupt(second)
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(first))
        yield* settle
        assert.isUndefined(first.pollUnsafe(), "what is being written is waited for")
        yield* release
        yield* Fiber.join(interrupting)
        assert.deepStrictEqual(yield* contents(), { first: 1 })
      }),
    ),
  )

  it.effect("a tenant that floods has half of the room, and others their turns", () =>
    on(
      Effect.gen(function* () {
        const stores = yield* KeyValueStore
        const { release } = yield* hold
        const value = { format: "bytes", bytes: new Uint8Array(60_000) } as const
        const two = batch([
          { key: "a", value },
          { key: "b", value },
        ])
        const flood = yield* Effect.forEach(Array.from({ length: 400 }), () =>
          Effect.forkChild(Effect.result(stores.write(shop, two)), { startImmediately: true }),
        )
        const order: Array<string> = []
        const late = yield* Effect.forkChild(
          Effect.tap(stores.write(other, two), () => Effect.sync(() => order.push("late"))),
          { startImmediately: true },
        )
        const last = yield* Effect.forkChild(
          Effect.tap(Fiber.await(flood[250]!), () => Effect.sync(() => order.push("flood"))),
        )
        yield* settle
        yield* release
        yield* Fiber.join(late)
        yield* Fiber.join(last)
        assert.deepStrictEqual(order, ["late", "flood"])
        const results = yield* Effect.forEach(flood, Fiber.join)
        const refused = results.filter(({ _tag }) => _tag === "Failure")
        assert.isAbove(refused.length, 50)
        assert.isBelow(refused.length, 200)
      }),
    ),
  )

  it.effect("what the disk changed is told, and put right by the next put", () =>
    on(
      Effect.gen(function* () {
        const stores = yield* KeyValueStore
        const sql = yield* SqlClient
        yield* stores.write(shop, batch([put("a", "text"), put("b", "text")]))
        yield* sql`UPDATE store_entries SET value = ${new TextEncoder().encode('"tixt"')} WHERE key = ${new TextEncoder().encode("a")}`
        for (const reading of [
          Effect.asVoid(stores.get(shop, "a")),
          Effect.asVoid(stores.list(shop, all)),
        ]) {
          const error = yield* Effect.flip(reading)
          assert.deepInclude(error, { _tag: "StoreDamaged", key: "a" })
        }
        assert.strictEqual(plainOf((yield* stores.get(shop, "b"))!.value), "text")
        yield* stores.write(shop, batch([put("a", "again")]))
        assert.deepStrictEqual(yield* contents(), { a: "again", b: "text" })
      }),
    ),
  )

  it.effect("an entry that got into another store is none there (promise 6)", () =>
    on(
      Effect.gen(function* () {
        const stores = yield* KeyValueStore
        const sql = yield* SqlClient
        yield* stores.write(shop, batch([put("a", 1)]))
        yield* stores.write(other, batch([put("b", 1)]))
        yield* sql`UPDATE store_entries SET store_id = 3 - store_id`
        assert.strictEqual((yield* Effect.flip(stores.get(other, "a")))._tag, "StoreDamaged")
      }),
    ),
  )

  it.effect("every failing step leaves all of a batch or nothing, and the writer alive", () =>
    Effect.gen(function* () {
      const outcomes = { before: "", after: "" }
      for (const how of ["before", "after"] as const) {
        for (let step = 1; step <= 12; step++) {
          const faults = makeFaults()
          yield* on(
            Effect.gen(function* () {
              const stores = yield* KeyValueStore
              yield* stores.write(shop, batch([put("a", 0), put("b", 0)]))
              const from = faults.steps()
              faults.decide({ before: (at) => (at === from + step ? how : "well") })
              const exit = yield* Effect.exit(
                stores.write(shop, batch([put("a", 1), remove("b"), put("c", 1)])),
              )
              faults.stop()
              outcomes[how] += Exit.isSuccess(exit) ? "+" : "-"
              const now = yield* contents()
              if (Exit.isSuccess(exit)) assert.deepStrictEqual(now, { a: 1, c: 1 })
              else assert.deepStrictEqual(now, { a: 0, b: 0 }, `${how} ${step}`)
              yield* stores.write(shop, batch([put("after", 1)]))
              const { keys } = yield* figures()
              assert.strictEqual(keys, 3)
            }),
            { open: faults.open },
          )
        }
      }
      // The eighth step is the commit: reported as failed and yet durable, it has succeeded.
      assert.deepStrictEqual(outcomes, { before: "--------++++", after: "-------+++++" })
    }),
  )

  it.effect(
    "a full disk refuses what does not fit, says so, and all goes on when there is room",
    () =>
      on(
        Effect.gen(function* () {
          const stores = yield* KeyValueStore
          const own = yield* serviceStoreOf(shop)
          const sql = yield* SqlClient
          yield* stores.write(shop, batch([put("a", 1)]))
          const [pages] = yield* sql<{ page_count: number }>`PRAGMA page_count`
          yield* sql.unsafe(`PRAGMA max_page_count = ${pages!.page_count + 2}`)
          const large = batch([put("b", "x".repeat(60_000)), remove("a")])
          const refusal = yield* Effect.flip(own.write(large))
          assert.deepStrictEqual(refusal, {
            code: "disk-full",
            message: "the disk is full: nothing was stored",
          })
          assert.deepStrictEqual(yield* contents(), { a: 1 })
          yield* own.write(batch([put("a", 2)]))
          yield* sql.unsafe("PRAGMA max_page_count = 1000000")
          yield* own.write(large)
          assert.deepStrictEqual(Object.keys(yield* contents()), ["b"])
        }),
      ),
  )

  it.effect("takes nothing once the kernel closes, after all that it took is durable", () =>
    Effect.gen(function* () {
      const disk = makeDisk()
      const [stores, waiting] = yield* on(
        Effect.gen(function* () {
          const stores = yield* KeyValueStore
          const waiting = yield* Effect.forEach(Array.from({ length: 300 }), (_, n) =>
            Effect.forkDetach(stores.write(shop, batch([put(`k${n}`, n)])), {
              startImmediately: true,
            }),
          )
          return [stores, waiting] as const
        }),
        { filename: disk.database },
      )
      for (const fiber of waiting) yield* Fiber.join(fiber)
      assert.strictEqual(
        (yield* Effect.flip(stores.write(shop, batch([put("late", 1)]))))._tag,
        "StoreClosed",
      )
      yield* on(
        Effect.map(figures(), ({ keys }) => assert.strictEqual(keys, 300)),
        { filename: disk.database },
      )
    }),
  )
})
