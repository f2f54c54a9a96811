/**
 * Logs and artifacts that were damaged behind the kernel's back: detected, reported, survived
 * (promises 4 and 5).
 */
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

import { factsInOrder } from "../../src/domain/Checkpoint.ts"
import { draft } from "../../src/domain/Event.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { DesiredState } from "../../src/kernel/recovery/DesiredState.ts"
import { Replayer } from "../../src/kernel/recovery/Replayer.ts"
import { Verifier } from "../../src/kernel/recovery/Verifier.ts"
import { Deployer } from "../../src/kernel/services/Deployer.ts"
import { caller, newDatabase, run, service, spec } from "./verification/Run.ts"

/** Deploys `a` to `d`, and kills `d`. Without a checkpoint, so that a start folds the damaged log. */
const populate = Effect.fnUntraced(function* () {
  const filename = newDatabase()
  yield* Effect.gen(function* () {
    const deployer = yield* Deployer
    for (const name of ["a", "b", "c", "d"]) yield* deployer.deploy(caller("acme"), spec(name))
    yield* deployer.kill(caller("acme"), service("d"))
  }).pipe(run(filename))
  edit(filename, "DELETE FROM checkpoints")
  return filename
})

const edit = (filename: string, statement: string) => {
  const database = new DatabaseSync(filename)
  database.exec(statement)
  database.close()
}

/** The id of the event that deployed `name`, as SQL. */
const deployed = (name: string) =>
  `(SELECT id FROM events WHERE type = 'service_deployed' AND service_id = '${name}')`

const start = (filename: string) =>
  Effect.gen(function* () {
    const store = yield* EventStore
    const state = yield* (yield* DesiredState).get
    const recovery = Option.getOrThrow(yield* (yield* Replayer).recoveryReport)
    const report = yield* (yield* Verifier).verifyConsistency({ full: true })
    return {
      running: factsInOrder(state)
        .filter((fact) => fact._tag === "Deployed")
        .map(({ name }) => name.serviceId as string),
      recovery,
      found: [...new Set(report.inconsistencies.map(({ invariant }) => invariant))].sort(),
      report,
      readable: (yield* Stream.runCollect(store.stream())).length,
      unreadable: yield* store.unreadable,
    }
  }).pipe(run(filename))

interface Damage {
  readonly name: string
  readonly statement: string
  readonly running: ReadonlyArray<string>
  readonly found: ReadonlyArray<string>
}

const damages: ReadonlyArray<Damage> = [
  {
    name: "deleted from the middle: the gap is reported and hides nothing after it",
    statement: `DELETE FROM events WHERE id = ${deployed("b")}`,
    running: ["a", "c"],
    found: ["ids_gapless"],
  },
  {
    name: "deleted from the beginning",
    statement: "DELETE FROM events WHERE id <= 2",
    running: ["a", "b", "c"],
    found: ["ids_gapless"],
  },
  {
    name: "deleted from the end: the head remembers, and no id is given twice",
    statement: "DELETE FROM events WHERE id > (SELECT max(id) - 2 FROM events)",
    running: ["a", "b", "c"],
    found: ["ids_gapless"],
  },
  {
    name: "changed: the chain tells",
    statement: `UPDATE events SET payload = replace(payload, '"heapMb":64', '"heapMb":65') WHERE id = ${deployed("a")}`,
    running: ["a", "b", "c"],
    found: ["chain_holds"],
  },
  {
    name: "changed together with its hash: the next link tells",
    statement: `UPDATE events SET hash = '${"0".repeat(64)}' WHERE id = ${deployed("a")}`,
    running: ["a", "b", "c"],
    found: ["chain_holds"],
  },
  {
    name: "duplicated under the next id",
    statement: `INSERT INTO events SELECT (SELECT max(id) + 1 FROM events), time, tenant_id, service_id, type, version, payload, actor, causation_id, hash FROM events WHERE id = ${deployed("a")}`,
    running: ["a", "b", "c"],
    found: ["chain_holds"],
  },
  {
    name: "reordered",
    statement: `CREATE TEMP TABLE pair AS SELECT ${deployed("a")} AS a, ${deployed("b")} AS b;
      UPDATE events SET id = -1 WHERE id = (SELECT a FROM pair);
      UPDATE events SET id = (SELECT a FROM pair) WHERE id = (SELECT b FROM pair);
      UPDATE events SET id = (SELECT b FROM pair) WHERE id = -1`,
    running: ["a", "b", "c"],
    found: ["chain_holds"],
  },
  {
    name: "malformed: skipped and named",
    statement: `UPDATE events SET payload = '{"revision":' WHERE id = ${deployed("b")}`,
    running: ["a", "c"],
    found: ["chain_holds", "events_readable"],
  },
  {
    name: "of an unknown type: skipped and named",
    statement: `UPDATE events SET type = 'service_dreamt' WHERE id = ${deployed("b")}`,
    running: ["a", "c"],
    found: ["chain_holds", "events_readable"],
  },
  {
    name: "of a tenant that cannot be: skipped and named",
    statement: `UPDATE events SET tenant_id = '../etc' WHERE id = ${deployed("b")}`,
    running: ["a", "c"],
    found: ["chain_holds", "events_readable"],
  },
]

describe("events", () => {
  for (const { name, statement, running, found } of damages) {
    it.live(`${name} (promises 4 and 5)`, () =>
      Effect.gen(function* () {
        const filename = yield* populate()
        edit(filename, statement)
        const after = yield* start(filename)
        assert.deepStrictEqual(after.running, running)
        assert.strictEqual(after.recovery.recovered, running.length)
        assert.deepStrictEqual(after.found, found)
        assert.strictEqual(after.unreadable > 0, found.includes("events_readable"))
        assert.strictEqual(after.report.status, "error")
        assert.isAbove(after.report.recommendations.length, 0)
        // What is found stays found after another start.
        assert.deepStrictEqual((yield* start(filename)).found, found)
      }),
    )
  }

  it.live("the log's head lost: it is set to the last event", () =>
    Effect.gen(function* () {
      const filename = yield* populate()
      edit(filename, "DELETE FROM log_head")
      const after = yield* start(filename)
      assert.deepStrictEqual(after.running, ["a", "b", "c"])
      assert.strictEqual(after.report.status, "ok")
    }),
  )

  it.live("a whole log of damage is reported within bounds", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* Effect.gen(function* () {
        const store = yield* EventStore
        const filler = draft("system_shutdown_started", { reason: "filler" })
        yield* Effect.forEach(Array.from({ length: 300 }), () => store.emit(filler), {
          concurrency: "unbounded",
        })
      }).pipe(run(filename))
      edit(filename, "UPDATE events SET payload = 'x'")
      const { report } = yield* start(filename)
      assert.strictEqual(report.inconsistencies.length, 100)
      assert.isAtLeast(report.inconsistencyCount, 600)
      const logged = yield* Effect.flatMap(EventStore, (store) =>
        store.filter({ types: ["inconsistency_detected"] }),
      ).pipe(run(filename))
      // Twenty for each of the verifications there were, at most.
      assert.isAtMost(logged.length, 20 * 4)
    }),
  )
})

describe("artifacts", () => {
  for (const [damage, statement] of [
    ["missing", `DELETE FROM artifacts WHERE source LIKE '%"b"%'`],
    ["changed", `UPDATE artifacts SET source = source || ' ' WHERE source LIKE '%"b"%'`],
  ]) {
    it.live(`${damage}: costs its service only, and is reported (promise 4)`, () =>
      Effect.gen(function* () {
        const filename = yield* populate()
        edit(filename, statement!)
        const after = yield* start(filename)
        assert.strictEqual(after.recovery.recovered, 2)
        assert.strictEqual(after.recovery.failed, 1)
        assert.deepStrictEqual(after.found, ["artifact_intact"])
        assert.strictEqual(after.report.inconsistencies[0]!.serviceId, "b")
      }),
    )
  }
})

describe("the clock", () => {
  it.live("set back: ids go on, times are what the clock said, and the report counts it", () =>
    Effect.gen(function* () {
      const filename = yield* populate()
      const clock = yield* Clock.Clock
      const aDayAgo: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - 86_400_000,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now - 86_400_000),
      })
      const after = yield* Effect.provideService(start(filename), Clock.Clock, aDayAgo)
      assert.deepStrictEqual(after.running, ["a", "b", "c"])
      assert.strictEqual(after.recovery.recovered, 3)
      assert.strictEqual(after.report.status, "ok")
      assert.strictEqual(after.report.consistencyChecks.clockStepsBack, 1)
    }),
  )
})
