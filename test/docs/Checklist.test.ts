/**
 * docs/checklist.md: every file and every test it names exists, every task has its rows, and the
 * numbered tests can be found by their numbers.
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

const rows: ReadonlyArray<Row> = fs
  .readFileSync(join(root, "docs/checklist.md"), "utf8")
  .split("\n")
  .filter((line) => /^\|\s*\d/.test(line))
  .map((line) => {
    const [, task = "", item = "", where = "", shownBy = ""] = line
      .split("|")
      .map((cell) => cell.trim())
    return { task, item, where, shownBy }
  })

/** Tasks by their number, and the numbered tests that the checklist asks of some of them. */
const tasks = [6, 7, 7, 6, 3].map((count, part) =>
  Array.from({ length: count }, (_, index) => `${part + 1}.${index + 1}`),
)
const numbered = { "1.6": 8, "2.7": 9, "3.7": 6, "4.6": 7 }

/** File and quoted names, in the order in which they stand. */
const claims = ({ shownBy }: Row): ReadonlyArray<readonly [path: string, name: string]> => {
  const found: Array<readonly [string, string]> = []
  for (const [, path, name] of shownBy.matchAll(/`([^`]+)` "([^"]+)"/g)) found.push([path!, name!])
  return found
}

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
    for (const row of rows) {
      const named = claims(row)
      assert.isNotEmpty(named, `${row.task} ${row.item}`)
      for (const [path, name] of named) {
        assert.isTrue(fs.existsSync(join(root, path)), path)
        assert.include(fs.readFileSync(join(root, path), "utf8"), name, path)
      }
    }
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
