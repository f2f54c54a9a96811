/**
 * Reading and following the log where the contract of event stores does not look: what is live,
 * what cannot be read, what storage says (promises 4, 5 and 6); and how a log is opened and closed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { draft } from "../../src/domain/Event.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { makeEventReader } from "../../src/kernel/log/EventReader.ts"
import {
  type EventFilter,
  EventStore,
  EventTooLarge,
  LogClosed,
  LogOverloaded,
} from "../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { makeEventTail } from "../../src/kernel/log/EventTail.ts"
import { said } from "../contract/EventStore.ts"
import { makeDisk } from "./harness/Disk.ts"
import { settle } from "./harness/Machine.ts"
import { layerDigest } from "./Sha256.ts"
import { outside } from "./Workbench.ts"

/** A log in the file `filename`, and what the kernel says of it. */
const layerLog = (filename: string, lines: Array<string> = []) =>
  layerEventStore.pipe(
    Layer.provideMerge(layerSqlite({ filename, busyTimeoutMs: 0 })),
    Layer.provideMerge(layerDigest),
    Layer.provideMerge(
      Logger.layer([
        Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${message}`)),
      ]),
    ),
  )

const on = <E>(
  use: (lines: ReadonlyArray<string>) => Effect.Effect<void, E, EventStore | SqlClient>,
) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    return Effect.provide(use(lines), layerLog(makeDisk().database, lines))
  })

const about = (tenant: string, service: string) => ({
  tenantId: TenantId.make(tenant),
  serviceId: ServiceId.make(service),
})

describe("following the log", () => {
  it.effect("a live subscriber gets what it asked for and nothing else (promise 6)", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const filters: Record<string, EventFilter> = {
          tenant: { tenantId: TenantId.make("a") },
          service: { serviceId: ServiceId.make("s") },
          type: { types: ["service_killed"] },
          none: { types: [] },
          until: { untilId: 3 },
          all: {},
        }
        const seen: Record<string, Array<number>> = {}
        for (const [name, filter] of Object.entries(filters)) {
          const ids: Array<number> = (seen[name] = [])
          yield* store.subscribe(filter).pipe(
            Stream.runForEach((event) => Effect.sync(() => ids.push(event.id))),
            Effect.forkChild({ startImmediately: true }),
          )
        }
        yield* settle
        const crash = { revision: 1, reason: "" }
        yield* store.emit(draft("service_crashed", crash, about("a", "s")))
        yield* store.emit(draft("service_crashed", crash, about("b", "s")))
        yield* store.emit(draft("service_killed", { revision: 1, force: false }, about("a", "t")))
        yield* store.emit(draft("service_crashed", crash, about("a", "s")))
        yield* settle
        assert.deepStrictEqual(seen, {
          tenant: [1, 3, 4],
          service: [1, 2, 4],
          type: [3],
          none: [],
          until: [1, 2, 3],
          all: [1, 2, 3, 4],
        })
      }),
    ),
  )

  it.effect("a subscriber with nothing to read waits, and does not look again and again", () =>
    Effect.gen(function* () {
      let looks = 0
      const tail = yield* makeEventTail(0)
      const watched = {
        ...tail,
        lastId: () => {
          looks++
          return tail.lastId()
        },
      }
      const { subscribe } = yield* makeEventReader(watched)
      yield* Effect.forkChild(Stream.runDrain(subscribe()), { startImmediately: true })
      yield* settle
      assert.isAtMost(looks, 2)
    }).pipe(Effect.provide(layerSqlite({ filename: makeDisk().database, busyTimeoutMs: 0 }))),
  )
})

describe("reading the log", () => {
  it.effect("names an unreadable row once, however often it is read (promise 4)", () =>
    on((lines) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const sql = yield* SqlClient
        yield* store.append([said("1"), said("2"), said("3")])
        yield* sql`UPDATE events SET payload = '' WHERE id < 3`
        for (let n = 0; n < 3; n++) yield* store.filter()
        assert.strictEqual(lines.filter((line) => line.includes("unreadable")).length, 2)
        assert.strictEqual(yield* store.unreadable, 2)
      }),
    ),
  )

  it.effect("bounds what it remembers of unreadable rows, and reads on behind them", () =>
    Effect.gen(function* () {
      const filename = makeDisk().database
      yield* Effect.scoped(Layer.build(layerLog(filename)))
      outside(filename, (db) =>
        db.exec(`
          WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 10010)
          INSERT INTO events (id, time, type, version, payload, hash)
            SELECT id, '', 'x', 1, '', '' FROM n`),
      )
      yield* Effect.gen(function* () {
        const store = yield* EventStore
        const { id } = yield* store.emit(said("behind"))
        const events = yield* Stream.runCollect(store.stream())
        assert.deepStrictEqual(
          events.map((event) => event.id),
          [id],
        )
        assert.strictEqual(yield* store.unreadable, 10_000)
      }).pipe(Effect.provide(layerLog(filename)))
    }),
  )

  it.effect("says that it was reading when storage failed", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const sql = yield* SqlClient
        yield* sql`ALTER TABLE events RENAME TO lost`
        assert.match((yield* Effect.flip(store.filter())).message, /^read events: /)
      }),
    ),
  )

  it.effect("asked for no event, it answers none", () =>
    on(() =>
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* store.emit(said("1"))
        for (const limit of [0, -1]) {
          assert.deepStrictEqual(yield* store.filter({ limit }), [])
          assert.deepStrictEqual([...(yield* Stream.runCollect(store.stream({ limit })))], [])
        }
      }),
    ),
  )
})

describe("a log that is opened and closed", () => {
  it.effect("never gives an id twice, and says what is missing from its end (promise 5)", () =>
    Effect.gen(function* () {
      const filename = makeDisk().database
      const lines: Array<string> = []
      const open = <A, E>(
        use: (store: EventStore["Service"], sql: SqlClient) => Effect.Effect<A, E>,
      ) =>
        Effect.flatMap(EventStore, (store) =>
          Effect.flatMap(SqlClient, (sql) => use(store, sql)),
        ).pipe(Effect.provide(layerLog(filename, lines)))
      yield* open((store, sql) =>
        Effect.gen(function* () {
          yield* store.append([said("1"), said("2"), said("3")])
          yield* sql`DELETE FROM events WHERE id > 1`
        }),
      )
      assert.deepStrictEqual(lines, [])
      const event = yield* open((store) => store.emit(said("next")))
      assert.strictEqual(event.id, 4)
      assert.match(lines.join(), /^Warn.*missing from the end/)
      lines.length = 0
      yield* open((store) => store.emit(said("next")))
      assert.deepStrictEqual(lines, [], "it is missing from the middle now")
    }),
  )

  it.effect("says that it could not be opened", () =>
    Effect.gen(function* () {
      const filename = makeDisk().database
      yield* Effect.scoped(Layer.build(layerLog(filename)))
      const broken = layerSqlite({ filename, busyTimeoutMs: 0 }).pipe(
        Layer.tap((context) => Context.get(context, SqlClient)`DROP TABLE log_head`),
      )
      const error = yield* Layer.build(
        layerEventStore.pipe(Layer.provide(broken), Layer.provide(layerDigest)),
      ).pipe(Effect.scoped, Effect.flip)
      assert.match(String((error as Error).message), /^open the log: /)
    }),
  )

  it.effect(
    "a flush waits for its turn while the log has no room, and is over once it is closed",
    () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(layerLog(makeDisk().database), scope)
        const store = Context.get(context, EventStore)
        const released = yield* Deferred.make<void>()
        const append = (attachment?: Effect.Effect<void>) =>
          Effect.forkChild(Effect.exit(store.append([said("")], attachment)))
        yield* append(Deferred.await(released))
        yield* settle
        yield* Effect.forEach(Array.from({ length: 8192 }), () => append(), { discard: true })
        yield* settle
        const overloaded = yield* Effect.flip(store.emit(said("")))
        assert.match(overloaded.message, /^8192 appends are waiting/)
        const flushing = yield* Effect.forkChild(store.flush, { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.isUndefined(flushing.pollUnsafe())
        yield* Deferred.succeed(released, undefined)
        yield* settle
        yield* TestClock.adjust("10 millis")
        yield* Fiber.join(flushing)
        assert.strictEqual(yield* store.lastId, 8193)
        yield* Scope.close(scope, Exit.void)
        yield* store.flush
        assert.strictEqual((yield* Effect.flip(store.emit(said(""))))._tag, "LogClosed")
      }),
  )

  it("says why it takes an append no more, or not this one", () => {
    assert.match(new LogOverloaded({ waiting: 5 }).message, /^5 appends .* again/)
    assert.match(new LogClosed().message, /stopping/)
    const large = new EventTooLarge({ type: "secret_stored", bytes: 51, maximum: 50 })
    assert.match(large.message, /secret_stored has 51 bytes.* at most 50$/)
  })
})
