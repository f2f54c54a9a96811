/**
 * What verification says of services' stores: nothing while all is well, and exactly what was
 * changed when somebody writes to the database (promises 1 and 6); and that backups have them.
 */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

import { Storage } from "../../../src/kernel/log/Storage.ts"
import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { KeyValueStore } from "../../../src/kernel/store/KeyValueStore.ts"
import { restore } from "../../../src/main/Restore.ts"
import { named } from "../harness/Machine.ts"
import { layerDigest } from "../Sha256.ts"
import { jsonValue, plainOf } from "../Stores.ts"
import { newDatabase, run } from "./Run.ts"

const shop = named("acme", "shop")
const other = named("globex", "shop")

const report = (full: boolean) =>
  Effect.flatMap(Verifier, (verifier) => verifier.verifyConsistency({ full }))

const found = (full = true) =>
  Effect.map(report(full), ({ inconsistencies }) =>
    inconsistencies.map(({ detail, tenantId }) => `${tenantId}: ${detail}`),
  )

const edit = (filename: string, statement: string) => {
  const database = new DatabaseSync(filename)
  database.exec(statement)
  database.close()
}

const populate = Effect.gen(function* () {
  const stores = yield* KeyValueStore
  for (const name of [shop, other]) {
    const writes = ["a", "b", "c"].map((key) => ({ key, value: jsonValue(`${key} s3cr3t`) }))
    yield* stores.write(name, { writes, conditions: [] })
    yield* stores.write(name, { writes: [{ key: "a", value: null }], conditions: [] })
  }
})

/** Each with what the verification of a store of two entries must then say. */
const mischief: Readonly<
  Record<string, readonly [statement: string, says: ReadonlyArray<string>]>
> = {
  "a changed value": [
    "UPDATE store_entries SET value = x'22612078656372657422' WHERE store_id = 1 AND key = x'62'",
    ["acme: 1 entries of its store are damaged"],
  ],
  "a changed key": [
    "UPDATE store_entries SET key = x'64' WHERE store_id = 1 AND key = x'62'",
    ["acme: 1 entries of its store are damaged"],
  ],
  "a changed version": [
    "UPDATE store_entries SET version = 2 WHERE store_id = 1 AND key = x'62'",
    ["acme: 1 entries of its store are damaged"],
  ],
  "a lost entry": [
    "DELETE FROM store_entries WHERE store_id = 1 AND key = x'62'",
    [
      "acme: its store has 1 entries, and should have 2",
      "acme: its store has 43 bytes, and should have 86",
    ],
  ],
  "a store turned back": [
    "UPDATE stores SET sequence = 0 WHERE id = 1",
    ["acme: its store has version 1, but gave none above 0"],
  ],
  "another digest": [
    `UPDATE stores SET digest = '${"1".repeat(64)}' WHERE id = 1`,
    ["acme: its store has other entries than were put last"],
  ],
  "a store of none": [
    "UPDATE stores SET service_id = '../x' WHERE id = 1",
    ['null: the row of its store cannot be read (of ["acme","../x"])'],
  ],
  "a lost store": ["DELETE FROM stores WHERE id = 1", ["null: entries belong to no store (1)"]],
}

describe("verification of stores", () => {
  for (const [what, [statement, says]] of Object.entries(mischief))
    it.effect(`reports ${what}, in a full verification, and tells no value`, () =>
      Effect.gen(function* () {
        const filename = newDatabase()
        yield* Effect.gen(function* () {
          yield* populate
          assert.deepStrictEqual(yield* found(), [])
          edit(filename, statement)
          assert.deepStrictEqual(yield* found(false), [])
          assert.deepStrictEqual(yield* found(), says)
          assert.notInclude(JSON.stringify(yield* report(true)), "s3cr3t")
        }).pipe(run(filename))
      }),
    )

  it.effect("finds entries that two stores have exchanged (promise 6)", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* Effect.gen(function* () {
        yield* populate
        edit(
          filename,
          "UPDATE store_entries SET store_id = -store_id; UPDATE store_entries SET store_id = 3 + store_id",
        )
        assert.deepStrictEqual(yield* found(), [
          "acme: 2 entries of its store are damaged",
          "globex: 2 entries of its store are damaged",
        ])
      }).pipe(run(filename))
    }),
  )

  it.live("says nothing while services write", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* Effect.gen(function* () {
        const stores = yield* KeyValueStore
        yield* populate
        const writer = yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: 500 }),
            (_, n) =>
              stores.write(shop, {
                writes: [{ key: `k${n % 70}`, value: n % 3 === 0 ? null : jsonValue(n) }],
                conditions: [],
              }),
            { discard: true },
          ),
        )
        for (let n = 0; n < 5; n++) assert.deepStrictEqual(yield* found(), [])
        yield* Fiber.join(writer)
        assert.deepStrictEqual(yield* found(), [])
      }).pipe(run(filename))
    }),
  )

  it.live("a backup holds them, and a restored one verifies", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      const path = join(mkdtempSync(join(tmpdir(), "solo-backup-")), "backup.db")
      yield* Effect.gen(function* () {
        yield* populate
        yield* (yield* Storage).backup(path)
      }).pipe(run(filename))
      const target = newDatabase()
      yield* restore({ path, database: target }).pipe(Effect.provide(layerDigest))
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(yield* found(), [])
        const entry = yield* (yield* KeyValueStore).get(shop, "b")
        assert.strictEqual(plainOf(entry!.value), "b s3cr3t")
      }).pipe(run(target))
    }),
  )
})
