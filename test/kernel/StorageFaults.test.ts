/**
 * What a real file system does to the store: full disks, locks of other processes, files that lost
 * their permissions or are damaged. Each is a typed error that leaves log and memory as they were,
 * and leaves no trace once its cause is gone (promises 1, 5).
 */
import { openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { draft } from "../../src/domain/Event.ts"
import type { Digest } from "../../src/kernel/log/Digest.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../src/kernel/log/EventStoreSql.ts"
import { StorageError, type StorageFault } from "../../src/kernel/log/Storage.ts"
import { said, verifyChain } from "../contract/EventStore.ts"
import { type Disk, makeDisk, takeImage, walBytes } from "./harness/Disk.ts"
import { type Faults, makeFaults } from "./harness/FaultyStorage.ts"
import { boot, deploy, kill, named, running, statusOf } from "./harness/Machine.ts"
import { smallFileSystem } from "./harness/SmallFileSystem.ts"
import { layerDigest } from "./Sha256.ts"

const layerOn = (filename: string) =>
  layerEventStore.pipe(
    Layer.provideMerge(layerSqlite({ filename, busyTimeoutMs: 0 })),
    Layer.provideMerge(layerDigest),
  )

const faultOf = <A>(append: Effect.Effect<A, unknown>) =>
  Effect.map(Effect.flip(append), (error) =>
    error instanceof StorageError ? error.fault : `no storage error: ${String(error)}`,
  )

/** Nothing of what was refused is there, and the next append takes the next id. */
const untouched = Effect.fnUntraced(function* (last: number) {
  const store = yield* EventStore
  assert.strictEqual(yield* store.lastId, last)
  const events = yield* Stream.runCollect(store.stream({ sinceId: last - 1 }))
  assert.deepStrictEqual(
    events.map((event) => event.id),
    [last],
  )
})

const worksAgain = Effect.fnUntraced(function* (last: number) {
  const store = yield* EventStore
  assert.strictEqual((yield* store.emit(said("it works again"))).id, last + 1)
  yield* verifyChain
})

const on = <E>(
  disk: Disk,
  body: Effect.Effect<void, E, EventStore | SqlClient | Digest>,
): Effect.Effect<void, unknown> => Effect.provide(body, layerOn(disk.database))

describe("storage that fails", () => {
  it.live(
    "a full disk refuses with `full`, and takes appends again once there is room",
    (context) =>
      Effect.gen(function* () {
        const directory = yield* smallFileSystem("2m")
        if (directory === undefined) return context.skip("may not mount a file system here")
        const database = join(directory, "solo.db")
        const body = Effect.gen(function* () {
          const store = yield* EventStore
          yield* store.emit(said("first"))
          writeFileSync(join(directory, "ballast"), Buffer.alloc(1_200_000))
          let last = 1
          let fault = "none"
          for (let n = 0; n < 100 && fault === "none"; n++) {
            const exit = yield* Effect.exit(store.emit(said("x".repeat(50_000))))
            if (Exit.isSuccess(exit)) last = exit.value.id
            else fault = yield* faultOf(exit)
          }
          assert.strictEqual(fault, "full")
          yield* untouched(last)
          assert.strictEqual(yield* faultOf(store.emit(said("x".repeat(900_000)))), "full")
          yield* untouched(last)
          rmSync(join(directory, "ballast"))
          yield* worksAgain(last)
        })
        yield* Effect.provide(body, layerOn(database))
      }),
  )

  it.live("a database that may not grow refuses with `full`", () =>
    on(
      makeDisk(),
      Effect.gen(function* () {
        const store = yield* EventStore
        const sql = yield* SqlClient
        yield* store.emit(said("first"))
        yield* sql`PRAGMA max_page_count = 12`
        assert.strictEqual(yield* faultOf(store.emit(said("x".repeat(500_000)))), "full")
        yield* untouched(1)
        yield* sql`PRAGMA max_page_count = 1000000`
        yield* worksAgain(1)
      }),
    ),
  )

  it.live("a lock that another process holds refuses with `locked`, for as long as it does", () => {
    const disk = makeDisk()
    return on(
      disk,
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* store.emit(said("first"))
        const other = new DatabaseSync(disk.database)
        other.exec("BEGIN IMMEDIATE")
        const faults = yield* Effect.all(
          Array.from({ length: 20 }, (_, n) => faultOf(store.emit(said(`${n}`)))),
          { concurrency: "unbounded" },
        )
        assert.deepStrictEqual([...new Set(faults)], ["locked"])
        assert.strictEqual(yield* faultOf(store.flush), "locked")
        yield* untouched(1)
        other.exec("ROLLBACK")
        other.close()
        yield* worksAgain(1)
      }),
    )
  })

  const refusesWhile = (broken: string, mended: string, fault: StorageFault) =>
    on(
      makeDisk(),
      Effect.gen(function* () {
        const store = yield* EventStore
        const sql = yield* SqlClient
        yield* store.emit(said("first"))
        yield* sql.unsafe(broken)
        assert.strictEqual(yield* faultOf(store.emit(said("no"))), fault)
        yield* sql.unsafe(mended)
        yield* untouched(1)
        yield* worksAgain(1)
      }),
    )

  it.live("a database that became read-only refuses with `io`", () =>
    refusesWhile("PRAGMA query_only = ON", "PRAGMA query_only = OFF", "io"),
  )

  it.live("a table that is gone refuses, and the events in memory are still those on disk", () =>
    refusesWhile(
      "ALTER TABLE events RENAME TO elsewhere",
      "ALTER TABLE elsewhere RENAME TO events",
      "missing",
    ),
  )

  it.live("a file that is no database is refused when it is opened, and says what to do", () =>
    Effect.gen(function* () {
      const disk = makeDisk()
      writeFileSync(disk.database, "this is no database, whatever its name says".repeat(200))
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(layerOn(disk.database))))
      assert.match(
        String(Exit.isFailure(exit) && exit.cause),
        /DatabaseDamaged.*no SQLite database/,
      )
    }),
  )

  it.live("a damaged page is a typed error, not a crash", () =>
    Effect.gen(function* () {
      const disk = makeDisk()
      yield* on(
        disk,
        Effect.gen(function* () {
          const store = yield* EventStore
          for (let n = 0; n < 200; n++) yield* store.emit(said("x".repeat(500)))
        }),
      )
      const size = readFileSync(disk.database).length
      const file = openSync(disk.database, "r+")
      for (let at = 4096 * 6; at < size; at += 4096)
        writeSync(file, Buffer.alloc(4096, 0xff), 0, 4096, at)
      const scope = yield* Scope.make()
      const opened = yield* Effect.exit(Layer.buildWithScope(layerOn(disk.database), scope))
      const read = Exit.isSuccess(opened)
        ? yield* Effect.exit(
            Effect.provideContext(
              Effect.flatMap(EventStore, (store) => Stream.runDrain(store.stream())),
              opened.value,
            ),
          )
        : opened
      assert.isTrue(Exit.isFailure(read))
      assert.match(
        String(Exit.isFailure(read) && read.cause),
        /StorageError|SqlError|DatabaseDamaged/,
      )
      yield* Scope.close(scope, Exit.void)
    }),
  )

  it.live("events lost from the end are noticed, and their ids are never given again", () =>
    Effect.gen(function* () {
      const disk = makeDisk()
      yield* on(
        disk,
        Effect.flatMap(EventStore, (store) =>
          Effect.asVoid(Effect.forEach(Array.from({ length: 9 }), () => store.emit(said("x")))),
        ),
      )
      const database = new DatabaseSync(disk.database)
      database.exec("DELETE FROM events WHERE id > 6")
      database.close()
      yield* on(
        disk,
        Effect.gen(function* () {
          const store = yield* EventStore
          assert.strictEqual(yield* store.lastId, 9)
          assert.strictEqual((yield* store.emit(said("next"))).id, 10)
          const events = yield* Stream.runCollect(store.stream())
          assert.deepStrictEqual(
            events.map((event) => event.id),
            [1, 2, 3, 4, 5, 6, 10],
          )
        }),
      )
    }),
  )

  it.live("a log cut off at any byte of its write-ahead log opens as some prefix of itself", () =>
    Effect.gen(function* () {
      const disk = makeDisk()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layerOn(disk.database), scope)
      yield* Effect.provideContext(
        Effect.gen(function* () {
          const store = yield* EventStore
          for (let n = 0; n < 12; n++) yield* store.append([said(`${n}a`), said(`${n}b`)])
        }),
        context,
      )
      const size = walBytes(disk)
      let longest = 0
      for (let cut = size; cut > 60_000; cut -= 1999) {
        yield* on(
          takeImage(disk, cut),
          Effect.gen(function* () {
            const count = yield* verifyChain
            assert.strictEqual(count % 2, 0, "an append is whole or not there")
            assert.strictEqual(yield* (yield* EventStore).lastId, count)
            longest = Math.max(longest, count)
            yield* worksAgain(count)
          }),
        )
      }
      assert.strictEqual(longest, 24)
      yield* Scope.close(scope, Exit.void)
    }),
  )

  it.live("closing commits what waits, and then refuses", () =>
    Effect.gen(function* () {
      const disk = makeDisk()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layerOn(disk.database), scope)
      const { emit, flush } = yield* Effect.provideContext(EventStore, context)
      const waiting = yield* Effect.forEach(
        Array.from({ length: 500 }, (_, n) => n),
        (n) => Effect.forkChild(emit(said(`${n}`)), { startImmediately: true }),
      )
      yield* Scope.close(scope, Exit.void)
      const exits = yield* Effect.forEach(waiting, (fiber) => Fiber.await(fiber))
      assert.isTrue(exits.every((exit) => Exit.isSuccess(exit)))
      const late = yield* Effect.flip(emit(draft("system_shutdown_started", { reason: "late" })))
      assert.strictEqual(late._tag, "LogClosed")
      yield* flush
      yield* on(
        disk,
        Effect.asVoid(Effect.map(verifyChain, (count) => assert.strictEqual(count, 500))),
      )
    }),
  )

  it.effect("a kernel on a locked database refuses changes and keeps its services", () =>
    Effect.gen(function* () {
      const kernel = yield* boot()
      const a = named("acme", "a")
      yield* deploy(kernel, a)
      const other = new DatabaseSync(kernel.disk.database)
      other.exec("BEGIN IMMEDIATE")
      assert.strictEqual((yield* Effect.flip(kill(kernel, a)))._tag, "StorageError")
      assert.strictEqual(
        (yield* Effect.flip(deploy(kernel, named("acme", "b"))))._tag,
        "StorageError",
      )
      assert.strictEqual(yield* statusOf(kernel, a), "running")
      assert.deepStrictEqual(running(kernel), ["acme/a@1"])
      other.exec("ROLLBACK")
      other.close()
      yield* kill(kernel, a)
    }),
  )

  /** The COMMIT of the next event is carried out and reported as failed, and nobody can ask. */
  const unknowable = (faults: Faults) => {
    let phase: "before" | "writing" | "after" = "before"
    faults.decide({
      before: (_, sql) => {
        if (phase === "after") return "before"
        if (sql.includes("INSERT INTO events")) phase = "writing"
        if (phase !== "writing" || sql !== "COMMIT") return "well"
        phase = "after"
        return "after"
      },
    })
  }

  it.effect("a deployment refused although it is durable counts, once that can be known", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      const a = named("acme", "a")
      const last = yield* kernel.store.lastId
      const live = yield* kernel.store
        .subscribe({ sinceId: last })
        .pipe(Stream.take(2), Stream.runCollect, Effect.forkChild)
      unknowable(faults)
      assert.strictEqual((yield* Effect.flip(deploy(kernel, a)))._tag, "StorageError")
      assert.deepStrictEqual(running(kernel), [])
      faults.stop()
      const { created, service } = yield* deploy(kernel, a)
      assert.deepInclude({ created, ...service }, { created: false, revision: 1 })
      yield* kill(kernel, a)
      const seen = yield* Fiber.join(live)
      assert.deepStrictEqual(
        seen.map((event) => [event.id, event.type]),
        [
          [last + 1, "service_deployed"],
          [last + 2, "service_killed"],
        ],
      )
    }),
  )

  it.effect("a kill refused although it is durable: the next deployment is a new one", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      const a = named("acme", "a")
      yield* deploy(kernel, a)
      unknowable(faults)
      assert.strictEqual((yield* Effect.flip(kill(kernel, a)))._tag, "StorageError")
      faults.stop()
      const { service } = yield* deploy(kernel, a)
      const next = yield* boot({ disk: takeImage(kernel.disk) })
      assert.deepStrictEqual(running(next), [`acme/a@${service.revision}`], "promise 1")
      assert.deepStrictEqual(running(kernel), running(next), "promise 10")
    }),
  )

  it.effect("a kill refused although it is durable: the next kill ends the service", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      const a = named("acme", "a")
      yield* deploy(kernel, a)
      unknowable(faults)
      assert.strictEqual((yield* Effect.flip(kill(kernel, a)))._tag, "StorageError")
      faults.stop()
      yield* kill(kernel, a)
      assert.deepStrictEqual(running(kernel), [])
      const killed = yield* kernel.store.filter({ types: ["service_killed"] })
      assert.strictEqual(killed.length, 1)
    }),
  )
})
