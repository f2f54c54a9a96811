/**
 * The writer of the log where it meets a database that lies, callers that spoil their own append,
 * and more appends than it can hold (promises 1, 5, 9).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { SqlClient } from "effect/sql/SqlClient"
import { ConnectionError, SqlError } from "effect/sql/SqlError"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { draft } from "../../src/domain/Event.ts"
import type { Digest } from "../../src/kernel/log/Digest.ts"
import { EventStore, LogClosed, LogOverloaded } from "../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { StorageError } from "../../src/kernel/log/Storage.ts"
import { said, verifyChain } from "../contract/EventStore.ts"
import { makeDisk } from "./harness/Disk.ts"
import { type Faults, makeFaults } from "./harness/FaultyStorage.ts"
import { settle } from "./harness/Machine.ts"
import { layerDigest } from "./Sha256.ts"

const on = <E>(body: (faults: Faults) => Effect.Effect<void, E, EventStore | SqlClient | Digest>) =>
  Effect.suspend(() => {
    const faults = makeFaults()
    const database = { filename: makeDisk().database, busyTimeoutMs: 0 }
    return Effect.provide(
      body(faults),
      layerEventStore.pipe(
        Layer.provideMerge(layerSqlite(database, faults.open)),
        Layer.provideMerge(layerDigest),
      ),
    )
  })

const isCommit = (sql: string) => /^COMMIT/i.test(sql)

/** Holds the writer in a transaction, so that what follows waits for it and shares the next one. */
const hold = Effect.gen(function* () {
  const store = yield* EventStore
  const released = yield* Deferred.make<void>()
  const holding = yield* Effect.forkChild(store.append([said("held")], Deferred.await(released)))
  yield* settle
  return { release: Effect.andThen(Deferred.succeed(released, undefined), Fiber.join(holding)) }
})

const refusal = (error: unknown) => {
  assert.instanceOf(error, StorageError)
  return { fault: error.fault, operation: error.operation }
}

describe("EventWriter", () => {
  it.effect("a commit that is reported as failed and is durable has succeeded (promise 1)", () =>
    on((faults) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* store.emit(said("before"))
        faults.decide({ before: (_, sql) => (isCommit(sql) ? "after" : "well") })
        const event = yield* store.emit(said("doubtful"))
        faults.stop()
        assert.strictEqual(event.id, 2)
        assert.strictEqual((yield* store.emit(said("after"))).id, 3)
        assert.strictEqual(yield* verifyChain, 3)
      }),
    ),
  )

  it.effect("a flush whose commit fails says so (promise 9)", () =>
    on((faults) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* store.emit(said("before"))
        faults.failWhile(isCommit)
        const error = yield* Effect.flip(store.flush)
        assert.deepStrictEqual(refusal(error), { fault: "io", operation: "append" })
        faults.stop()
        yield* store.flush
        assert.strictEqual(yield* verifyChain, 1)
      }),
    ),
  )

  it.effect("what the log says of it is found by its message, the reason beside it", () =>
    Effect.gen(function* () {
      const lines: Array<unknown> = []
      const logger = Logger.map(Logger.formatStructured, ({ annotations, message }) => {
        lines.push({ message, reason: annotations["reason"] })
      })
      yield* on((faults) =>
        Effect.gen(function* () {
          const store = yield* EventStore
          faults.failWhile(isCommit)
          const { message } = yield* Effect.flip(store.emit(said("lost")))
          yield* settle
          assert.deepStrictEqual(lines, [
            { message: "the log could not be appended to", reason: message },
          ])
        }),
      ).pipe(Effect.provide(Logger.layer([logger])))
    }),
  )

  it.effect("an attachment that breaks a constraint costs only its own append", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const sql = yield* SqlClient
        const twice = Effect.asVoid(
          sql`INSERT INTO artifacts ${sql.insert({ hash: "a", source: "" })}`,
        )
        yield* store.append([said("first")], twice)
        const { release } = yield* hold
        const spoilt = yield* Effect.forkChild(Effect.flip(store.append([said("spoilt")], twice)))
        const beside = yield* Effect.forkChild(store.emit(said("beside")))
        yield* settle
        yield* release
        assert.strictEqual(refusal(yield* Fiber.join(spoilt)).operation, "append")
        assert.strictEqual((yield* Fiber.join(beside)).id, 3)
        assert.strictEqual(yield* verifyChain, 3)
      }),
    ),
  )

  it.effect("an attachment that fails otherwise fails all that share its transaction", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const cause = Object.assign(new Error("scripted"), { errcode: 10 })
        const broken = new SqlError({ reason: new ConnectionError({ cause, message: "scripted" }) })
        const { release } = yield* hold
        const spoilt = yield* Effect.forkChild(
          Effect.flip(store.append([said("spoilt")], Effect.fail(broken))),
        )
        const beside = yield* Effect.forkChild(Effect.flip(store.emit(said("beside"))))
        yield* settle
        yield* release
        assert.deepStrictEqual(refusal(yield* Fiber.join(spoilt)), {
          fault: "io",
          operation: "append",
        })
        assert.strictEqual(refusal(yield* Fiber.join(beside)).fault, "io")
        assert.strictEqual((yield* store.emit(said("after"))).id, 2)
        assert.strictEqual(yield* verifyChain, 2)
      }),
    ),
  )

  it.effect("an attachment that breaks fails its append and leaves the writer alive", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const error = yield* Effect.flip(
          store.append([said("broken")], Effect.die(new Error("scripted defect"))),
        )
        assert.deepStrictEqual(refusal(error), { fault: "unknown", operation: "append" })
        assert.strictEqual((yield* store.emit(said("after"))).id, 1)
      }),
    ),
  )

  it.effect("holds 8192 appends and refuses the next, saying how many wait", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const { release } = yield* hold
        const waiting = yield* Effect.forEach(Array.from({ length: 8192 }), () =>
          Effect.forkChild(store.emit(said("waiting")), { startImmediately: true }),
        )
        const error = yield* Effect.flip(store.emit(said("too much")))
        assert.instanceOf(error, LogOverloaded)
        assert.strictEqual(error.waiting, 8192)
        yield* release
        for (const fiber of waiting) yield* Fiber.join(fiber)
        assert.strictEqual(yield* verifyChain, 8193)
      }),
    ),
  )

  it.effect("takes nothing after the last word, and says that the log is closed (promise 9)", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* store.emit(draft("system_shutdown_complete", { durationMs: 1 }))
        const error = yield* Effect.flip(store.emit(said("late")))
        assert.instanceOf(error, LogClosed)
        assert.strictEqual(yield* verifyChain, 1)
      }),
    ),
  )

  it.effect("takes nothing after the last word from whoever is next (promise 9)", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const word = store.emit(draft("system_shutdown_complete", { durationMs: 1 }))
        // A fiber that yields at almost every step has others in between wherever there may be any.
        const saying = yield* Effect.forkChild(
          Effect.provideService(word, References.MaxOpsBeforeYield, 3),
        )
        let late = 0
        while (saying.pollUnsafe() === undefined && late++ < 2000) {
          yield* Effect.forkChild(store.emit(said("late")), { startImmediately: true })
          yield* Effect.yieldNow
        }
        const last = (yield* store.filter()).at(-1)
        assert.strictEqual(last?.type, "system_shutdown_complete")
      }),
    ),
  )

  it.effect("a flush of a closed log waits for what it had accepted (promise 9)", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const { release } = yield* hold
        const accepted = store.emit(draft("system_shutdown_complete", { durationMs: 1 }))
        yield* Effect.forkChild(accepted, { startImmediately: true })
        const flushing = yield* Effect.forkChild(store.flush, { startImmediately: true })
        yield* settle
        const early = flushing.pollUnsafe()
        yield* release
        yield* Fiber.join(flushing)
        assert.isUndefined(early, "two appends were not durable yet")
        assert.strictEqual(yield* store.lastId, 2)
      }),
    ),
  )

  it.effect("takes a payload of exactly the largest size, and none of one more", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const frame = JSON.stringify({ reason: "" }).length
        yield* store.emit(said("x".repeat(1024 * 1024 - frame)))
        const error = yield* Effect.flip(store.emit(said("x".repeat(1024 * 1024 - frame + 1))))
        assert.strictEqual(error._tag, "EventTooLarge")
      }),
    ),
  )

  it.effect("counts bytes, not characters", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const room = 1024 * 1024 - JSON.stringify({ reason: "" }).length
        for (const [character, bytes] of [
          ["é", 2],
          ["☃", 3],
          ["😀", 4],
        ] as const) {
          const most = Math.floor(room / bytes)
          yield* store.emit(said(character.repeat(most)))
          const error = yield* Effect.flip(store.emit(said(character.repeat(most + 1))))
          if (error._tag !== "EventTooLarge") return assert.fail(error._tag)
          assert.strictEqual(error.bytes, (most + 1) * bytes + (1024 * 1024 - room))
        }
      }),
    ),
  )
})
