/**
 * The high-water mark beside a log that goes on: it follows, also after it could not (promise 5).
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

import { layerSqlite } from "../../../plugins/sqlite/index.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../../src/kernel/log/EventStoreSql.ts"
import { said } from "../../contract/EventStore.ts"
import { makeDisk } from "../../kernel/harness/Disk.ts"
import { pass } from "../../kernel/harness/Machine.ts"
import { layerDigest } from "../../kernel/Sha256.ts"

const layerLog = (filename: string, heard: Array<unknown>) =>
  layerEventStore.pipe(
    Layer.provide(layerSqlite({ filename, busyTimeoutMs: 0 })),
    Layer.provide(layerDigest),
    Layer.provide(Logger.layer([Logger.make(({ message }) => void heard.push(message))])),
  )

describe("the high-water mark", () => {
  it.effect("that could not be written is written as soon as it can, with nothing new to say", () =>
    Effect.gen(function* () {
      const { database } = makeDisk()
      const heard: Array<unknown> = []
      const mark = `${database}.mark`
      const marked = (): number => JSON.parse(readFileSync(mark, "utf8")).lastId
      yield* Effect.gen(function* () {
        const store = yield* EventStore
        assert.strictEqual(marked(), 0)
        mkdirSync(`${mark}.new`)
        yield* store.emit(said("first"))
        yield* pass(3000, 1000)
        assert.strictEqual(heard.length, 1, "it is said once")
        assert.strictEqual(marked(), 0)
        rmSync(`${mark}.new`, { recursive: true })
        yield* pass(1000)
        assert.strictEqual(marked(), 1)
        mkdirSync(`${mark}.new`)
        yield* store.emit(said("second"))
        yield* pass(1000)
        rmSync(`${mark}.new`, { recursive: true })
      }).pipe(Effect.provide(layerLog(database, heard)))
      assert.strictEqual(marked(), 2, "at the end, too")
    }),
  )
})
