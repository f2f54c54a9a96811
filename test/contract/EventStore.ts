/**
 * What every event store must do, whatever database is behind it: a suite to be run with a layer
 * that opens a store on an empty database each time it is built. Promises 1 and 5.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"

import { draft, type Event, type EventDraft } from "../../src/domain/Event.ts"
import { genesis, linkHash } from "../../src/domain/HashChain.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import type { ArtifactStore } from "../../src/kernel/log/ArtifactStore.ts"
import { Digest } from "../../src/kernel/log/Digest.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"

/** A store, the database behind it, and what hashes its chain. */
export type StoreLayer = Layer.Layer<EventStore | ArtifactStore | SqlClient | Digest, unknown>

/** A draft that any test may append. */
export const said = (reason: string): EventDraft => draft("system_shutdown_started", { reason })

const about = (tenant: string, service: string, reason: string): EventDraft =>
  draft(
    "service_crashed",
    { revision: 1, reason },
    { tenantId: TenantId.make(tenant), serviceId: ServiceId.make(service) },
  )

const idsOf = (events: Iterable<Event>) => Array.from(events, (event) => event.id)
const upTo = (last: number, first = 1) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

interface Row {
  readonly id: number
  readonly time: string
  readonly tenant_id: string | null
  readonly service_id: string | null
  readonly type: string
  readonly version: number
  readonly payload: string
  readonly actor: string | null
  readonly causation_id: number | null
  readonly hash: string
}

/** Checks promise 5 on the rows themselves: gapless from 1, each chained to the one before. */
export const verifyChain = Effect.gen(function* () {
  const sql = yield* SqlClient
  const { sha256 } = yield* Digest
  const rows = yield* sql<Row>`SELECT * FROM events ORDER BY id`
  let previous = genesis
  for (const [index, row] of rows.entries()) {
    assert.strictEqual(row.id, index + 1, "promise 5: ids are gapless")
    const { tenant_id: tenantId, service_id: serviceId, causation_id: causationId } = row
    const hash = linkHash(sha256, previous, { ...row, tenantId, serviceId, causationId })
    assert.strictEqual(row.hash, hash, "promise 5: the hash chain holds")
    previous = hash
  }
  return rows.length
})

const appending = (run: (name: string, body: Effect.Effect<void, unknown, Services>) => void) => {
  run(
    "gives gapless ids in order to 64 callers at once, and chains them",
    Effect.gen(function* () {
      const store = yield* EventStore
      const seen = yield* Effect.forEach(
        upTo(64),
        (caller) => Effect.forEach(upTo(20), (n) => store.emit(said(`${caller}:${n}`))),
        { concurrency: "unbounded" },
      )
      for (const own of seen) {
        assert.deepStrictEqual(
          idsOf(own),
          idsOf(own).sort((a, b) => a - b),
          "own order",
        )
      }
      assert.deepStrictEqual(
        idsOf(seen.flat()).sort((a, b) => a - b),
        upTo(1280),
      )
      assert.strictEqual(yield* store.lastId, 1280)
      assert.strictEqual(yield* verifyChain, 1280)
    }),
  )

  run(
    "appends several events together, in order, none in between",
    Effect.gen(function* () {
      const store = yield* EventStore
      const groups = yield* Effect.forEach(
        upTo(40),
        (n) => store.append([said(`${n}a`), said(`${n}b`), said(`${n}c`)]),
        { concurrency: "unbounded" },
      )
      for (const [first, second, third] of groups) {
        assert.deepStrictEqual([second!.id, third!.id], [first.id + 1, first.id + 2])
      }
      assert.strictEqual(yield* verifyChain, 120)
    }),
  )

  run(
    "answers with the event as it reads back",
    Effect.gen(function* () {
      const store = yield* EventStore
      const event = yield* store.emit(about("acme", "a", "snow ☃ and \u0000 and 🎉"))
      assert.deepStrictEqual(yield* store.filter({}), [event])
      assert.deepStrictEqual([...(yield* Stream.runCollect(store.stream()))], [event])
    }),
  )

  run(
    "refuses a payload over the limit, alone, and appends nothing of its group",
    Effect.gen(function* () {
      const store = yield* EventStore
      const error = yield* Effect.flip(store.append([said("small"), said("x".repeat(1024 * 1024))]))
      assert.strictEqual(error._tag, "EventTooLarge")
      assert.strictEqual(yield* store.lastId, 0)
      assert.strictEqual((yield* store.emit(said("next"))).id, 1)
    }),
  )

  run(
    "carries an append out although its caller was interrupted",
    Effect.gen(function* () {
      const store = yield* EventStore
      const caller = yield* Effect.forkChild(store.emit(said("interrupted")), {
        startImmediately: true,
      })
      yield* Fiber.interrupt(caller)
      yield* store.flush
      assert.strictEqual(yield* store.lastId, 1)
    }),
  )

  run(
    "refuses more appends than may wait, and takes them again afterwards",
    Effect.gen(function* () {
      const store = yield* EventStore
      const exits = yield* Effect.forEach(
        upTo(9000),
        (n) => Effect.exit(store.emit(said(`${n}`))),
        { concurrency: "unbounded" },
      )
      const refused = exits.filter(Exit.isFailure).length
      const kept = exits.length - refused
      assert.isAbove(refused, 0, "the queue is bounded")
      assert.strictEqual(yield* store.lastId, kept, "what was refused was not appended")
      assert.strictEqual((yield* store.emit(said("again"))).id, kept + 1)
      assert.strictEqual(yield* verifyChain, kept + 1)
    }),
  )
}

const reading = (run: (name: string, body: Effect.Effect<void, unknown, Services>) => void) => {
  run(
    "filters by tenant, service, type, ids and limit",
    Effect.gen(function* () {
      const store = yield* EventStore
      for (const [tenant, service] of [
        ["t", "a"],
        ["t", "b"],
        ["u", "a"],
        ["t", "a"],
      ] as const) {
        yield* store.emit(about(tenant, service, "x"))
      }
      yield* store.emit(said("system"))
      const tenantId = TenantId.make("t")
      const serviceId = ServiceId.make("a")
      const cases = [
        [{}, [1, 2, 3, 4, 5]],
        [{ tenantId }, [1, 2, 4]],
        [{ serviceId }, [1, 3, 4]],
        [{ tenantId, serviceId }, [1, 4]],
        [{ types: ["system_shutdown_started"] }, [5]],
        [{ types: ["system_shutdown_started", "service_crashed"] }, [1, 2, 3, 4, 5]],
        [{ types: [] }, []],
        [{ sinceId: 2 }, [3, 4, 5]],
        [{ untilId: 2 }, [1, 2]],
        [{ sinceId: 1, untilId: 3 }, [2, 3]],
        [{ sinceId: 99 }, []],
        [{ limit: 2 }, [1, 2]],
        [{ limit: 0 }, []],
        [{ tenantId, limit: 2, sinceId: 1 }, [2, 4]],
      ] as const
      for (const [filter, expected] of cases) {
        assert.deepStrictEqual(idsOf(yield* store.filter(filter)), [...expected])
        const streamed = yield* Stream.runCollect(store.stream(filter))
        assert.deepStrictEqual(idsOf(streamed), [...expected])
      }
    }),
  )

  run(
    "streams over many pages, and filters at most 1000",
    Effect.gen(function* () {
      const store = yield* EventStore
      yield* Effect.forEach(upTo(2600), (n) => store.emit(said(`${n}`)), { concurrency: 1024 })
      assert.deepStrictEqual(idsOf(yield* Stream.runCollect(store.stream())), upTo(2600))
      const limited = yield* Stream.runCollect(store.stream({ limit: 1025 }))
      assert.deepStrictEqual(idsOf(limited), upTo(1025))
      assert.strictEqual((yield* store.filter({ limit: 5000 })).length, 1000)
    }),
  )

  run(
    "ends a stream at what was there when it began",
    Effect.gen(function* () {
      const store = yield* EventStore
      yield* Effect.forEach(upTo(600), (n) => store.emit(said(`${n}`)), { concurrency: 600 })
      // Every event read appends another: a stream that chased the end would never reach it.
      const seen = yield* store.stream().pipe(
        Stream.tap(() => store.emit(said("more"))),
        Stream.take(2000),
        Stream.runCollect,
      )
      assert.deepStrictEqual(idsOf(seen), upTo(600))
    }),
  )

  run(
    "skips unreadable rows, counts each once, and still fills a page",
    Effect.gen(function* () {
      const store = yield* EventStore
      const sql = yield* SqlClient
      yield* Effect.forEach(upTo(30), (n) => store.emit(said(`${n}`)), { concurrency: 30 })
      yield* sql`UPDATE events SET payload = '{"reason":' WHERE id = 3`
      yield* sql`UPDATE events SET type = 'of_the_future' WHERE id = 4`
      yield* sql`UPDATE events SET tenant_id = 'no/id' WHERE id = 5`
      yield* sql`UPDATE events SET payload = '{"reason":7}' WHERE id = 6`
      const readable = upTo(30).filter((id) => id < 3 || id > 6)
      for (let round = 0; round < 2; round++) {
        assert.deepStrictEqual(idsOf(yield* Stream.runCollect(store.stream())), readable)
        assert.strictEqual(yield* store.unreadable, 4)
      }
      // A short page means the end to whoever turns pages: a bad row must not look like one.
      assert.deepStrictEqual(idsOf(yield* store.filter({ sinceId: 2, limit: 2 })), [7, 8])
    }),
  )
}

const following = (run: (name: string, body: Effect.Effect<void, unknown, Services>) => void) => {
  run(
    "subscribes without gap or duplicate while others append",
    Effect.gen(function* () {
      const store = yield* EventStore
      const total = 900
      const subscribers = yield* Effect.forEach(upTo(6), (n) =>
        Effect.forkChild(
          Effect.gen(function* () {
            // Joins somewhere in the middle of it, from a place of its own.
            while ((yield* store.lastId) < n * 100) yield* Effect.yieldNow
            const sinceId = n * 50
            const events = store.subscribe({ sinceId })
            return [
              sinceId,
              yield* Stream.runCollect(Stream.take(events, total - sinceId)),
            ] as const
          }),
        ),
      )
      yield* Effect.forEach(
        upTo(total),
        (n) =>
          Effect.andThen(n % 7 === 0 ? Effect.yieldNow : Effect.void, store.emit(said(`${n}`))),
        { concurrency: 16 },
      )
      for (const subscriber of subscribers) {
        const [sinceId, seen] = yield* Fiber.join(subscriber)
        assert.deepStrictEqual(idsOf(seen), upTo(total, sinceId + 1))
      }
    }),
  )

  run(
    "serves a subscriber that fell out of the tail from the database",
    Effect.gen(function* () {
      const store = yield* EventStore
      yield* store.emit(said("first"))
      const gate = yield* Deferred.make<void>()
      const slow = yield* store.subscribe().pipe(
        Stream.tap((event) => (event.id === 1 ? Deferred.await(gate) : Effect.void)),
        Stream.take(9001),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true }),
      )
      yield* Effect.forEach(upTo(9000), (n) => store.emit(said(`${n}`)), { concurrency: 500 })
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(idsOf(yield* Fiber.join(slow)), upTo(9001))
    }),
  )

  run(
    "a subscription's filter holds from the database and live alike",
    Effect.gen(function* () {
      const store = yield* EventStore
      const emit = (n: number) => store.emit(about(n % 3 === 0 ? "t" : "u", "s", `${n}`))
      yield* Effect.forEach(upTo(30), emit)
      const seen = yield* store
        .subscribe({ tenantId: TenantId.make("t"), untilId: 55 })
        .pipe(Stream.take(18), Stream.runCollect, Effect.forkChild({ startImmediately: true }))
      yield* Effect.forEach(upTo(60, 31), emit)
      assert.deepStrictEqual(
        idsOf(yield* Fiber.join(seen)),
        upTo(18).map((n) => 3 * n),
      )
    }),
  )
}

const attaching = (run: (name: string, body: Effect.Effect<void, unknown, Services>) => void) => {
  const artifact = (hash: string): Effect.Effect<void, SqlError, SqlClient> =>
    Effect.flatMap(SqlClient, (sql) =>
      Effect.asVoid(sql`INSERT INTO artifacts ${sql.insert({ hash, source: "text" })}`),
    )
  const artifacts = Effect.flatMap(SqlClient, (sql) =>
    Effect.map(sql<{ readonly hash: string }>`SELECT hash FROM artifacts ORDER BY hash`, (rows) =>
      rows.map((row) => row.hash),
    ),
  )

  run(
    "an attachment that breaks a constraint costs its own append only",
    Effect.gen(function* () {
      const store = yield* EventStore
      const context = yield* Effect.context<SqlClient>()
      const attach = (...hashes: ReadonlyArray<string>) =>
        Effect.provideContext(Effect.forEach(hashes, artifact, { discard: true }), context)
      yield* store.append([said("0")], attach("taken"))
      const exits = yield* Effect.all(
        [
          Effect.exit(store.append([said("1")], attach("one"))),
          // The first of its rows is good: it must go with the second.
          Effect.exit(store.append([said("2")], attach("two", "taken"))),
          Effect.exit(store.append([said("3")], attach("three"))),
        ],
        { concurrency: "unbounded" },
      )
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true])
      assert.deepStrictEqual(yield* artifacts, ["one", "taken", "three"])
      assert.deepStrictEqual(idsOf(yield* store.filter({})), [1, 2, 3])
      assert.strictEqual(yield* verifyChain, 3)
    }),
  )

  run(
    "an attachment that breaks down takes back everything it shares a commit with",
    Effect.gen(function* () {
      const store = yield* EventStore
      const sql = yield* SqlClient
      const broken = Effect.asVoid(sql`INSERT INTO no_such_table VALUES (1)`)
      const exits = yield* Effect.all(
        [Effect.exit(store.append([said("1")])), Effect.exit(store.append([said("2")], broken))],
        { concurrency: "unbounded" },
      )
      assert.isTrue(Exit.isFailure(exits[1]))
      const events = yield* store.filter({})
      assert.strictEqual(
        events.length,
        exits.filter((exit) => Exit.isSuccess(exit)).length,
        "all or nothing",
      )
      yield* store.emit(said("next"))
      yield* verifyChain
    }),
  )

  run(
    "an attachment with a defect does not end the writer",
    Effect.gen(function* () {
      const store = yield* EventStore
      const exit = yield* Effect.exit(store.append([said("1")], Effect.die(new Error("a defect"))))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual((yield* store.emit(said("next"))).id, 1)
    }),
  )
}

type Services = EventStore | ArtifactStore | SqlClient | Digest

/** Runs the suite against the stores that `layer` opens. */
export const contractEventStore = (name: string, layer: StoreLayer) => {
  const run = (title: string, body: Effect.Effect<void, unknown, Services>) =>
    it.live(title, () => Effect.provide(body, layer))
  describe(`EventStore on ${name}`, () => {
    appending(run)
    reading(run)
    following(run)
    attaching(run)
  })
}
