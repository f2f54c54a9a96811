/**
 * The log checked against itself: every gap, change and unreadable row is found once, at its place,
 * and whatever is found, the audit goes on (promises 4 and 5).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"

import { layerSqlite } from "../../../plugins/sqlite/index.ts"
import { draft } from "../../../src/domain/Event.ts"
import { linkHash } from "../../../src/domain/HashChain.ts"
import { empty, evolve } from "../../../src/domain/State.ts"
import { Digest } from "../../../src/kernel/log/Digest.ts"
import type { EventRow } from "../../../src/kernel/log/EventRow.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { layerEventStore } from "../../../src/kernel/log/EventStoreSql.ts"
import { auditLog, auditStart, type LogAudit } from "../../../src/kernel/recovery/LogAudit.ts"
import { makeDisk } from "../harness/Disk.ts"
import { layerDigest } from "../Sha256.ts"
import { service, tenant } from "./Run.ts"

const origin = { tenantId: tenant("acme"), serviceId: service("a") }

/** A log of `length` crashes, each with so many bytes of reason, after `statements`. */
const log = <E>(
  length: number,
  statements: ReadonlyArray<string>,
  use: (audit: typeof audited) => Effect.Effect<void, E, EventStore | SqlClient | Digest>,
  bytes = 1,
) =>
  Effect.gen(function* () {
    const store = yield* EventStore
    const sql = yield* SqlClient
    const crash = draft("service_crashed", { revision: 1, reason: "x".repeat(bytes) }, origin)
    for (let n = 0; n < length; n += 1000) {
      const some = Array.from({ length: Math.min(1000, length - n) }, () => crash)
      yield* store.append([some[0]!, ...some.slice(1)])
    }
    for (const statement of statements) yield* sql.unsafe(statement)
    yield* use(audited)
  }).pipe(
    Effect.provide(
      layerEventStore.pipe(
        Layer.provideMerge(layerSqlite({ filename: makeDisk().database, busyTimeoutMs: 0 })),
        Layer.provideMerge(layerDigest),
      ),
    ),
  )

/** An audit up to the end, or to `untilId`. */
const audited = Effect.fnUntraced(function* (from: LogAudit = auditStart, untilId?: number) {
  const store = yield* EventStore
  const { audit } = yield* auditLog({ from, untilId: untilId ?? (yield* store.lastId) })
  return audit
})

const found = ({ inconsistencies }: LogAudit) =>
  inconsistencies.map(({ detail, eventId, invariant }) => [invariant, eventId, detail])

describe("an audit of the log", () => {
  it.effect("finds nothing in a log that is as it was written, and ends where that ends", () =>
    log(20, [], (audit) =>
      Effect.gen(function* () {
        const sql = yield* SqlClient
        const [newest] = yield* sql<{ readonly hash: string; readonly time: string }>`
          SELECT hash, time FROM events WHERE id = 20`
        assert.deepStrictEqual(yield* audit(), {
          id: 20,
          hash: newest!.hash,
          time: newest!.time,
          state: empty,
          inconsistencies: [],
          findings: 0,
          unreadable: 0,
          clockStepsBack: 0,
        })
      }),
    ),
  )

  it.effect("names a gap by its ends, and takes what follows it for good", () =>
    log(20, ["DELETE FROM events WHERE id IN (1, 5, 10, 11, 12)"], (audit) =>
      Effect.gen(function* () {
        const result = yield* audit()
        assert.deepStrictEqual(found(result), [
          ["ids_gapless", 1, "event 1 is missing"],
          ["ids_gapless", 5, "event 5 is missing"],
          ["ids_gapless", 10, "events 10 to 12 are missing"],
        ])
        assert.strictEqual(result.findings, 3)
      }),
    ),
  )

  it.effect("finds events missing from the end, and cannot tell whether the next one fits", () =>
    log(20, ["DELETE FROM events WHERE id > 18"], (audit) =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const sql = yield* SqlClient
        const first = yield* audit()
        assert.deepStrictEqual(found(first), [["ids_gapless", 19, "events 19 to 20 are missing"]])
        assert.strictEqual(first.id, 20)
        assert.isUndefined(first.hash)
        yield* store.emit(draft("service_crashed", { revision: 1, reason: "" }, origin))
        const second = yield* audit(first)
        assert.strictEqual(second.findings, 1)
        // From there on it can tell again.
        yield* store.emit(draft("service_crashed", { revision: 1, reason: "" }, origin))
        yield* sql`UPDATE events SET actor = 'somebody' WHERE id = 22`
        assert.deepStrictEqual(found(yield* audit(second)).slice(1), [
          [
            "chain_holds",
            22,
            "event 22, or the hash of the event before it, was changed after it was written",
          ],
        ])
      }),
    ),
  )

  const changes = [
    "time = '2020-01-01T00:00:00.000Z'",
    "tenant_id = 'other'",
    "service_id = 'other'",
    'type = \'service_gave_up\', payload = \'{"revision":1,"restarts":1,"reason":""}\'',
    "version = 2",
    "payload = replace(payload, 'x', 'y')",
    "actor = 'somebody'",
    "causation_id = 1",
  ]
  it.effect.each(changes)("finds that %s was changed, and only that event", (change) =>
    log(20, [`UPDATE events SET ${change} WHERE id = 7`], (audit) =>
      Effect.gen(function* () {
        const broken = found(yield* audit()).filter(([invariant]) => invariant === "chain_holds")
        assert.deepStrictEqual(
          broken.map(([, eventId]) => eventId),
          [7],
        )
      }),
    ),
  )

  it.effect("finds a changed hash at the event and at the one after it", () =>
    log(20, [`UPDATE events SET hash = '${"0".repeat(64)}' WHERE id = 7`], (audit) =>
      Effect.map(audit(), (result) => {
        assert.deepStrictEqual(
          found(result).map(([invariant, eventId]) => [invariant, eventId]),
          [
            ["chain_holds", 7],
            ["chain_holds", 8],
          ],
        )
      }),
    ),
  )

  it.effect("counts what cannot be read, and says why in one line", () =>
    log(
      20,
      [
        'UPDATE events SET payload = \'{"revision":"one","reason":1}\' WHERE id = 3',
        "UPDATE events SET type = 'of_the_future' WHERE id = 4",
      ],
      (audit) =>
        Effect.map(audit(), (result) => {
          assert.strictEqual(result.unreadable, 2)
          assert.strictEqual(result.findings, 4)
          const unreadable = found(result).filter(([invariant]) => invariant === "events_readable")
          assert.deepStrictEqual(
            unreadable.map(([, eventId]) => eventId),
            [3, 4],
          )
          for (const [, eventId, detail] of unreadable)
            assert.match(String(detail), new RegExp(`^event ${eventId} cannot be read .*: .{10,}$`))
        }),
    ),
  )

  it.effect("reads what follows a gap, or was written by another version, with the same care", () =>
    log(
      20,
      [
        "DELETE FROM events WHERE id = 5",
        "UPDATE events SET payload = 'nonsense' WHERE id = 6",
        `UPDATE events SET version = 2, payload = '{"shape":"new"}' WHERE id = 20`,
      ],
      (audit) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient
          const { sha256 } = yield* Digest
          const [before, last] = yield* sql<EventRow>`SELECT * FROM events WHERE id >= 19`
          // The chain holds: whoever wrote it knew how.
          const { causation_id: causationId, service_id: serviceId, tenant_id: tenantId } = last!
          const link = { ...last!, causationId, serviceId, tenantId }
          const hash = linkHash(sha256, before!.hash, link)
          yield* sql`UPDATE events SET hash = ${hash} WHERE id = 20`
          const result = yield* audit()
          assert.deepStrictEqual(
            found(result).map(([invariant, eventId]) => [invariant, eventId]),
            [
              ["ids_gapless", 5],
              ["events_readable", 6],
              ["events_readable", 20],
            ],
          )
        }),
    ),
  )

  it.effect("counts how often the clock was set back", () =>
    log(
      20,
      [
        "UPDATE events SET time = '2020-01-01T00:00:00.000Z' WHERE id IN (5, 6)",
        "UPDATE events SET time = '2030-01-01T00:00:00.000Z' WHERE id = 10",
      ],
      (audit) =>
        Effect.map(audit(), ({ clockStepsBack }) => {
          assert.strictEqual(clockStepsBack, 1 + 1)
        }),
    ),
  )

  it.effect("lists a hundred findings and counts the rest", () =>
    log(130, ["UPDATE events SET actor = 'somebody' WHERE id <= 120"], (audit) =>
      Effect.map(audit(), ({ findings, inconsistencies }) => {
        assert.strictEqual(findings, 120)
        assert.strictEqual(inconsistencies.length, 100)
        assert.strictEqual(inconsistencies[99]?.eventId, 100)
      }),
    ),
  )

  it.effect("comes to the same in one go and in parts, and leaves the parts as they were", () =>
    log(30, ["UPDATE events SET actor = 'x' WHERE id IN (5, 25)"], (audit) =>
      Effect.gen(function* () {
        const first = yield* audit(auditStart, 10)
        assert.strictEqual(first.id, 10)
        const second = yield* audit(first)
        assert.strictEqual(first.inconsistencies.length, 1)
        assert.deepStrictEqual(second, yield* audit())
        assert.deepStrictEqual(yield* audit(second), second, "nothing is left")
        assert.deepStrictEqual(auditStart.inconsistencies, [])
      }),
    ),
  )

  it.effect("goes in steps of 256 rows, and of fewer where they are large", () =>
    Effect.gen(function* () {
      const steps = (length: number, bytes: number) =>
        Effect.gen(function* () {
          const seen: Array<number> = []
          yield* log(
            length,
            [],
            () =>
              auditLog({ from: auditStart, untilId: length, onStep: (id) => void seen.push(id) }),
            bytes,
          )
          return seen
        })
      assert.deepStrictEqual(yield* steps(600, 1), [256, 512, 600])
      assert.deepStrictEqual(yield* steps(256, 1), [256, 256])
      const large = yield* steps(300, 10_000)
      assert.strictEqual(large[0], 256)
      // Twenty-six of them are a quarter of a mebibyte.
      assert.deepStrictEqual(large.slice(1), [282, 300])
    }),
  )

  it.effect("remembers the fold where it was asked to", () =>
    log(3, [], () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const killed = yield* store.emit(
          draft("service_killed", { revision: 1, force: false }, origin),
        )
        yield* store.emit(draft("service_crashed", { revision: 1, reason: "" }, origin))
        const { folds } = yield* auditLog({
          from: auditStart,
          untilId: 5,
          foldsAt: new Set([2, 4, 9]),
        })
        assert.deepStrictEqual([...folds.keys()], [2, 4])
        assert.deepStrictEqual(folds.get(2), empty)
        assert.deepStrictEqual(folds.get(4), evolve(empty, killed))
      }),
    ),
  )
})
