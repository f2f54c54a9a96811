/**
 * docs/checklist.md and docs/damage.md: every file and every test they name exists, every task and
 * every kind of damage has its rows, and the numbered tests can be found by their numbers.
 */
import * as fs from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { assert, describe, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))

interface Row {
  readonly task: string
  readonly item: string
  readonly where: string
  readonly shownBy: string
}

/** Tasks by their number, and the numbered tests that the checklist asks of some of them. */
const tasks = [6, 7, 7, 6, 3, 3].map((count, part) =>
  Array.from({ length: count }, (_, index) => `${part + 1}.${index + 1}`),
)
const numbered = { "1.6": 8, "2.7": 9, "3.7": 6, "4.6": 7 }

/** Expects a cell to name tests, each `file` followed by quoted parts of names, and them to exist. */
const checkTests = (cell: string): void => {
  const named = [...cell.matchAll(/`([^`]+\.ts)`((?: ?[;,]? "[^"]+")+)/g)]
  assert.isNotEmpty(named, cell)
  for (const [, path, names] of named) {
    const text = fs.readFileSync(join(root, path!), "utf8")
    for (const [, name] of names!.matchAll(/"([^"]+)"/g)) assert.include(text, name!, path)
  }
}

/** The rows of a table whose first cell matches, as their cells. */
const tableOf = (file: string, first: RegExp): ReadonlyArray<ReadonlyArray<string>> =>
  fs
    .readFileSync(join(root, file), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| ---"))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    )
    .filter(([cell = ""]) => first.test(cell))

const rows: ReadonlyArray<Row> = tableOf("docs/checklist.md", /^\d/).map(
  ([task = "", item = "", where = "", shownBy = ""]) => ({ task, item, where, shownBy }),
)

const tests = fs
  .readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".test.ts"))
  .map((path) => fs.readFileSync(join(root, "test", path), "utf8"))
  .join("\n")

describe("docs/checklist.md", () => {
  it("has rows for every task", () => {
    const there = new Set(rows.map(({ task }) => task))
    assert.deepStrictEqual(
      tasks.flat().filter((task) => !there.has(task)),
      [],
    )
    const numbers = rows
      .filter(({ task }) => task in numbered)
      .map(({ task, item }) => [task, item])
    for (const [task, count] of Object.entries(numbered)) {
      const items = numbers.filter(([of]) => of === task).map(([, item]) => item!.split(":")[0]!)
      const named = items.flatMap((item) => item.split(", ").map(Number))
      assert.deepStrictEqual(
        named,
        Array.from({ length: count }, (_, index) => index + 1),
        task,
      )
    }
  })

  it("names only files that are there", () => {
    const paths = rows.flatMap(({ where }) =>
      [...where.matchAll(/`([^`]+)`/g)].map(([, at]) => at!),
    )
    assert.isAbove(paths.length, rows.length - 1)
    assert.deepStrictEqual(
      paths.filter((path) => !fs.existsSync(join(root, path))),
      [],
    )
  })

  it("names only tests that are there, and at least one in each row", () => {
    assert.isNotEmpty(rows)
    for (const { shownBy } of rows) checkTests(shownBy)
  })

  it("its numbered tests can be found by their numbers", () => {
    const numbers = Object.entries(numbered).flatMap(([task, count]) =>
      Array.from({ length: count }, (_, index) => `${task}.${index + 1}`),
    )
    for (const number of [...numbers, "5.1", "5.2", "5.3"]) {
      assert.match(tests, new RegExp(`"[^"]*\\b${number.replaceAll(".", "\\.")}\\b[^"]*"`), number)
    }
  })
})

describe("docs/damage.md", () => {
  const damages = tableOf("docs/damage.md", /^(?!damage$)/)

  it("names for every damage what happens, what to do, and tests that are there", () => {
    for (const [damage, happens, advice, shownBy] of damages) {
      assert.match(
        happens ?? "",
        /recovered|refused|reported|skipped|costs|go on|goes on|starts|used|dead|acknowledged/,
        damage,
      )
      assert.isNotEmpty(advice, damage)
      checkTests(shownBy ?? "")
    }
  })

  it.each([
    /^database missing/,
    /^database empty/,
    /^database zeroed/,
    /^database cut off/,
    /bit flipped in the database/,
    /^write-ahead log deleted, emptied, cut off, zeroed, a bit flipped/,
    /^checkpoint deleted, emptied, cut, changed/,
    /^event deleted/,
    /^events deleted from the end/,
    /^event changed, duplicated, reordered/,
    /^event malformed/,
    /^artifact missing/,
    /no longer compiles/,
    /^disk full at any write/,
    /^clock set back/,
  ])("has a row for %s", (kind) => {
    assert.isTrue(damages.some(([damage = ""]) => kind.test(damage)))
  })
})
