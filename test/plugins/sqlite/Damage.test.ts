/**
 * Database files, write-ahead logs and marks that were damaged: recovered, reported or refused, as
 * docs/damage.md says (promises 1, 5).
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"

import { factsInOrder } from "../../../src/domain/Checkpoint.ts"
import { draft } from "../../../src/domain/Event.ts"
import { Lifecycle } from "../../../src/kernel/Lifecycle.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { Deployer } from "../../../src/kernel/services/Deployer.ts"
import { caller, newDatabase, run, spec } from "../../kernel/verification/Run.ts"

/** How many flipped bits are tried. */
const flips = Number(process.env["TEST_FLIPS"] ?? 24)

const walOf = (filename: string) => `${filename}-wal`
const markOf = (filename: string) => `${filename}.mark`

const deploy = (names: ReadonlyArray<string>) =>
  Effect.flatMap(Deployer, (deployer) =>
    Effect.forEach(names, (name) => deployer.deploy(caller("acme"), spec(name)), { discard: true }),
  )

const names = ["a", "b", "c", "d", "e", "f"]

/** A database after a clean run. */
const cleanDatabase = Effect.gen(function* () {
  const filename = newDatabase()
  yield* run(filename)(deploy(names))
  return filename
})

/** What a power failure leaves of a run: a database, its write-ahead log, and its mark. */
const crashImage = Effect.gen(function* () {
  const filename = newDatabase()
  const image = newDatabase()
  yield* run(filename)(deploy(names.slice(0, 3)))
  yield* Effect.andThen(
    deploy(names.slice(3)),
    Effect.sync(() => {
      copyFileSync(filename, image)
      copyFileSync(walOf(filename), walOf(image))
    }),
  ).pipe(run(filename))
  // The mark as it was a moment later, when it had followed.
  copyFileSync(markOf(filename), markOf(image))
  return image
})

const start = (filename: string) =>
  Effect.gen(function* () {
    const report = yield* (yield* Verifier).verifyConsistency({ full: true })
    const state = yield* (yield* DesiredState).get
    return {
      names: factsInOrder(state).map(({ name }) => name.serviceId as string),
      status: report.status,
      found: new Set(report.inconsistencies.map(({ invariant }) => invariant)),
      lastId: yield* (yield* EventStore).lastId,
    }
  }).pipe(run(filename))

/** The message that a start is refused with. */
const refusal = (filename: string) =>
  Effect.map(Effect.exit(start(filename)), (exit) => {
    assert.isTrue(Exit.isFailure(exit), "the start was to be refused")
    const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
    assert.strictEqual(reason?._tag, "Fail", "a refusal is no defect")
    return reason?._tag === "Fail" ? (reason.error as { readonly message: string }).message : ""
  })

const flip = (filename: string, position: number) => {
  const bytes = readFileSync(filename)
  bytes[position] = bytes[position]! ^ 0x10
  writeFileSync(filename, bytes)
}

describe("a damaged database file", () => {
  it.live("missing: refused, not begun anew", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      rmSync(filename)
      assert.match(yield* refusal(filename), /is missing, but was there before; restore/)
      assert.isFalse(existsSync(filename))
      // Deleting the mark says that to begin anew is meant.
      rmSync(markOf(filename))
      assert.deepStrictEqual((yield* start(filename)).names, [])
    }),
  )

  it.live("empty: refused, not begun anew", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      truncateSync(filename, 0)
      assert.match(yield* refusal(filename), /is empty, but was there before/)
    }),
  )

  it.live("zeroed: refused", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      writeFileSync(filename, Buffer.alloc(readFileSync(filename).length))
      assert.match(yield* refusal(filename), /no SQLite database: its header is damaged; restore/)
    }),
  )

  it.live("cut off anywhere: refused", () =>
    Effect.gen(function* () {
      const whole = yield* cleanDatabase
      const { length } = readFileSync(whole)
      for (const size of [1, 99, 100, 4096, Math.floor(length / 2), length - 1]) {
        const filename = newDatabase()
        copyFileSync(whole, filename)
        truncateSync(filename, size)
        assert.match(yield* refusal(filename), /is cut off|header is damaged/, `${size} bytes`)
      }
    }),
  )

  it.live.prop(
    "a flipped bit anywhere: refused, reported, or without effect; never a silent loss",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 }))],
    ([thousandth]) =>
      Effect.gen(function* () {
        const filename = newDatabase()
        yield* run(filename)(deploy(names))
        const { length } = readFileSync(filename)
        flip(filename, Math.floor((length * thousandth) / 1000))
        const exit = yield* Effect.exit(start(filename))
        if (Exit.isFailure(exit)) {
          assert.deepStrictEqual(
            exit.cause.reasons.map(({ _tag }) => _tag),
            ["Fail"],
          )
        } else if (exit.value.status === "ok") {
          assert.deepStrictEqual(exit.value.names, names)
        }
      }),
    { arbitrary: { runs: flips }, timeout: 60_000 + flips * 1000 },
  )
})

/** Makes a page of the log unreadable that a start does not need: one of its older events. */
const breakPage = (filename: string) => {
  const bytes = readFileSync(filename)
  const pageSize = bytes.readUInt16BE(16)
  const leaves: Array<number> = []
  for (let page = pageSize; page < bytes.length; page += pageSize) {
    const holdsEvents = bytes.subarray(page, page + pageSize).includes("fillerfiller")
    if (bytes[page] === 13 && holdsEvents) leaves.push(page)
  }
  bytes[leaves[Math.floor(leaves.length / 4)]!] = 0xff
  writeFileSync(filename, bytes)
}

describe("a page that cannot be read", () => {
  it.live("does not hinder a start that does not need it, and is no clean bill", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* Effect.gen(function* () {
        const store = yield* EventStore
        yield* deploy(names)
        const filler = draft("system_shutdown_started", { reason: "filler".repeat(50) })
        yield* Effect.forEach(Array.from({ length: 4000 }), () => store.emit(filler), {
          concurrency: "unbounded",
        })
      }).pipe(run(filename))
      breakPage(filename)
      const { names: back, status, found } = yield* start(filename)
      assert.deepStrictEqual(back, names)
      assert.strictEqual(status, "error")
      assert.deepStrictEqual([...found], ["storage_sound"])
    }),
  )
})

describe("a damaged write-ahead log", () => {
  it.live("whole: everything acknowledged is there (promise 1)", () =>
    Effect.gen(function* () {
      const image = yield* crashImage
      rmSync(markOf(image))
      const { names: back, status } = yield* start(image)
      assert.deepStrictEqual(back, names)
      assert.strictEqual(status, "ok")
    }),
  )

  const damages: ReadonlyArray<readonly [string, (wal: string) => void]> = [
    ["deleted", (wal) => rmSync(wal)],
    ["emptied", (wal) => truncateSync(wal, 0)],
    ["cut off", (wal) => truncateSync(wal, Math.floor(readFileSync(wal).length / 3))],
    ["zeroed", (wal) => writeFileSync(wal, Buffer.alloc(readFileSync(wal).length))],
    ["with a flipped bit in its header", (wal) => flip(wal, 3)],
    ["with a flipped bit in a frame", (wal) => flip(wal, 32 + 24 + 100)],
  ]
  for (const [damage, inflict] of damages) {
    it.live(`${damage}: starts with what is left, and reports what is lost (promise 5)`, () =>
      Effect.gen(function* () {
        const image = yield* crashImage
        inflict(walOf(image))
        const { names: back, found, status, lastId } = yield* start(image)
        assert.deepStrictEqual(back, names.slice(0, back.length))
        assert.isBelow(back.length, names.length)
        assert.strictEqual(status, "error")
        assert.include([...found], "ids_gapless")
        // No id is given twice: what is written now comes after what was lost.
        const again = yield* start(image)
        assert.isAbove(again.lastId, lastId)
        assert.include([...again.found], "ids_gapless")
      }),
    )
  }

  it.live("a damaged index of the write-ahead log costs nothing (promise 1)", () =>
    Effect.gen(function* () {
      const index = Buffer.alloc(32_768, 0x5a)
      const zeroed = Buffer.alloc(32_768)
      for (const damage of [zeroed, index, index.subarray(0, 100), Buffer.alloc(0)]) {
        const image = yield* crashImage
        rmSync(markOf(image))
        writeFileSync(`${image}-shm`, damage)
        const { names: back, status } = yield* start(image)
        assert.deepStrictEqual(back, names)
        assert.strictEqual(status, "ok")
      }
    }),
  )

  it.live("left over without its database: refused, not replayed into a new one", () =>
    Effect.gen(function* () {
      for (const remove of [rmSync, (filename: string) => truncateSync(filename, 0)]) {
        const image = yield* crashImage
        rmSync(markOf(image))
        const before = readFileSync(walOf(image))
        remove(image)
        assert.match(
          yield* refusal(image),
          /write-ahead log .*-wal is there; put the database back/,
        )
        assert.deepStrictEqual(readFileSync(walOf(image)), before)
      }
    }),
  )
})

describe("a database that goes away while the kernel runs", () => {
  const attempt = (name: string) => Effect.exit(deploy([name]))

  it.live("nothing is acknowledged any more, until it is back (promise 1)", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      const directory = dirname(filename)
      yield* Effect.gen(function* () {
        yield* deploy(["a"])
        renameSync(directory, `${directory}.aside`)
        assert.isTrue(Exit.isFailure(yield* attempt("gone")))
        mkdirSync(directory)
        writeFileSync(filename, "")
        assert.isTrue(Exit.isFailure(yield* attempt("replaced")))
        rmSync(directory, { recursive: true })
        renameSync(`${directory}.aside`, directory)
        yield* deploy(["b"])
      }).pipe(run(filename))
      assert.deepStrictEqual((yield* start(filename)).names, ["a", "b"])
    }),
  )

  it.live("its end is no clean one (promise 9)", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      const problems = yield* Effect.gen(function* () {
        const { problems } = yield* Lifecycle
        rmSync(dirname(filename), { recursive: true })
        return problems
      }).pipe(run(filename))
      assert.match(problems().join("\n"), /announce: append: the storage device failed/)
      assert.isFalse(existsSync(filename))
    }),
  )
})

describe("a database that another process has locked", () => {
  it.live("the start is refused, and says which file and what to do", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      const other = new DatabaseSync(filename)
      other.exec("BEGIN IMMEDIATE")
      assert.match(yield* refusal(filename), /solo\.db is locked by another process; end that one/)
      other.close()
      assert.deepStrictEqual((yield* start(filename)).names, names)
    }),
  )
})

describe("a database in memory", () => {
  it.live("has no files to look at, and leaves none", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 2; round++) {
        assert.deepStrictEqual((yield* start(":memory:")).names, [])
        assert.isFalse(existsSync(markOf(":memory:")))
      }
    }),
  )
})

describe("a damaged high-water mark", () => {
  it.live("missing or unreadable: the start goes on, and the mark is made anew", () =>
    Effect.gen(function* () {
      const filename = yield* cleanDatabase
      for (const content of [undefined, "", "{}", '{"lastId":"x"}', "\0\0\0\0"]) {
        if (content === undefined) rmSync(markOf(filename))
        else writeFileSync(markOf(filename), content)
        const { names: back, status } = yield* start(filename)
        assert.deepStrictEqual(back, names)
        assert.strictEqual(status, "ok")
        assert.match(
          readFileSync(markOf(filename), "utf8"),
          /^\{"lastId":\d+,"lastHash":"[0-9a-f]+","check":"[0-9a-f]+"\}$/,
        )
      }
    }),
  )
})
