/**
 * Figures of stores that are damaged: they are answered, and cost no entry, no other service and no
 * other tenant anything (promises 4 and 6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { SqlClient } from "effect/sql/SqlClient"

import type { ServiceName } from "../../src/domain/Identifier.ts"
import { KeyValueStore } from "../../src/kernel/store/KeyValueStore.ts"
import { makeDisk } from "./harness/Disk.ts"
import { named, settle } from "./harness/Machine.ts"
import { jsonValue, layerStores } from "./Stores.ts"

const shop = named("acme", "shop")
const till = named("acme", "till")
const other = named("globex", "shop")

const put = (name: ServiceName, key: string) =>
  Effect.flatMap(KeyValueStore, (stores) =>
    stores.write(name, { writes: [{ key, value: jsonValue(1) }], conditions: [] }),
  )

const figures = Effect.flatMap(KeyValueStore, (stores) =>
  Effect.map(stores.figures(shop), ({ keys, bytes }) => ({ keys, bytes })),
)

/** Writes to all of them in one transaction; whether each succeeded. */
const putTogether = Effect.fnUntraced(function* (names: ReadonlyArray<ServiceName>, key: string) {
  const sql = yield* SqlClient
  const released = yield* Deferred.make<void>()
  const holding = yield* Effect.forkChild(sql.withTransaction(Deferred.await(released)))
  yield* settle
  const writes = yield* Effect.forEach(names, (name) =>
    Effect.forkChild(Effect.exit(put(name, key)), { startImmediately: true }),
  )
  yield* Deferred.succeed(released, undefined)
  yield* Fiber.join(holding)
  const exits = yield* Effect.forEach(writes, (fiber) => Fiber.join(fiber))
  return exits.map(Exit.isSuccess)
})

describe("damaged figures of a store", () => {
  it.effect("are figures all the same, and cost no entry", () =>
    Effect.gen(function* () {
      const stores = yield* KeyValueStore
      const sql = yield* SqlClient
      yield* put(shop, "a")
      yield* sql`UPDATE stores SET keys = -5, bytes = 9223372036854775807`
      assert.deepStrictEqual(yield* figures, { keys: 0, bytes: Number.MAX_SAFE_INTEGER })
      yield* sql`UPDATE stores SET keys = 9007199254740993, bytes = -9223372036854775808`
      assert.deepStrictEqual(yield* figures, { keys: Number.MAX_SAFE_INTEGER, bytes: 0 })
      assert.isDefined(yield* stores.get(shop, "a"))
    }).pipe(Effect.provide(layerStores())),
  )

  for (const column of ["keys", "bytes", "sequence"]) {
    it.effect(`(${column}) cost no other store its writes`, () =>
      Effect.gen(function* () {
        const filename = makeDisk().database
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient
          for (const name of [shop, till]) yield* put(name, "a")
          yield* sql.unsafe(
            `UPDATE stores SET ${column} = 9223372036854775807 WHERE service_id = 'till'`,
          )
        }).pipe(Effect.provide(layerStores({ filename })))
        yield* Effect.gen(function* () {
          const [, ...others] = yield* putTogether([till, shop, other], "b")
          assert.deepStrictEqual(others, [true, true])
          const [, ...again] = yield* putTogether([till, shop, other], "c")
          assert.deepStrictEqual(again, [true, true])
        }).pipe(Effect.provide(layerStores({ filename })))
      }),
    )
  }
})
