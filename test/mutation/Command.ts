/**
 * `npm run mutate [group…] [-- option…]`: breaks the files of the groups named, or of all, one
 * group after the other, and prints what came of each file as rows of `docs/mutation.md`. Options
 * are Stryker's; with `--mutate src/domain/State.ts` only that file of one group is broken. It
 * fails when a group's score is too low.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, renameSync } from "node:fs"

import { groups, groupVariable } from "./Groups.ts"

/** Where Stryker leaves its report, and where a group's is kept. */
const report = "coverage/mutation.json"
const reportOf = (group: string) => `coverage/mutation-${group}.json`

interface Report {
  readonly files: Record<string, { readonly mutants: ReadonlyArray<{ readonly status: string }> }>
}

const percent = (part: number, whole: number) =>
  whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)}%`

/** One row per file: mutants, those killed, those that timed out, and the score. */
const printRows = ({ files }: Report): void => {
  for (const [file, { mutants }] of Object.entries(files).toSorted()) {
    const count = (...statuses: ReadonlyArray<string>) =>
      mutants.filter(({ status }) => statuses.includes(status)).length
    const killed = count("Killed", "RuntimeError", "CompileError")
    const late = count("Timeout")
    const all = killed + late + count("Survived", "NoCoverage")
    if (all === 0) continue
    const score = percent(killed + late, all)
    process.stdout.write(`| \`${file}\` | ${all} | ${killed} | ${late} | ${score} |\n`)
  }
}

const run = (group: string, options: ReadonlyArray<string>): boolean => {
  const mutate = options.includes("--mutate")
    ? []
    : ["--mutate", (groups[group]?.mutate ?? []).join(",")]
  const { status } = spawnSync("stryker", ["run", ...mutate, ...options], {
    stdio: "inherit",
    env: { ...process.env, [groupVariable]: group },
  })
  // Without one it never came to the mutants: a test failed against the code as it is.
  if (!existsSync(report)) return false
  renameSync(report, reportOf(group))
  printRows(JSON.parse(readFileSync(reportOf(group), "utf8")) as Report)
  return status === 0
}

const given = process.argv.slice(2)
const firstOption = given.findIndex((argument) => argument.startsWith("-"))
const names = firstOption === -1 ? given : given.slice(0, firstOption)
const options = firstOption === -1 ? [] : given.slice(firstOption)

const refuse = (why: string): never => {
  process.stderr.write(`${why}; the groups are ${Object.keys(groups).join(", ")}\n`)
  return process.exit(64)
}
const unknown = names.find((name) => !Object.hasOwn(groups, name))
if (unknown !== undefined) refuse(`there is no group ${unknown}`)
if (options.includes("--mutate") && names.length !== 1) refuse("name the one group of these files")

const results = (names.length === 0 ? Object.keys(groups) : names).map((name) => run(name, options))
process.exit(results.every(Boolean) ? 0 : 1)
