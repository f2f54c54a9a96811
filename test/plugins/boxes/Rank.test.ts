/**
 * The rank of a process, as the system shows it to others, where whoever ranks it was itself started
 * with another niceness or policy.
 */
import { spawnSync } from "node:child_process"

import { assert, describe, it } from "@effect/vitest"

const module = new URL("../../../plugins/boxes/Rank.ts", import.meta.url).href

/** Ranks a process of its own last and usual again, and prints its niceness, policy and group. */
const script = `
  import { spawn } from "node:child_process"
  import { existsSync, readFileSync } from "node:fs"
  import { setRank } from ${JSON.stringify(module)}
  const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore" })
  const see = () => {
    const stat = readFileSync("/proc/" + child.pid + "/stat", "latin1")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const group = "/proc/" + child.pid + "/autogroup"
    const niceness = existsSync(group) ? [Number(readFileSync(group, "utf8").split(" nice ")[1])] : []
    return [Number(fields[16]), Number(fields[38]), ...niceness]
  }
  const seen = [see()]
  for (const rank of ["last", "usual"]) {
    setRank(child.pid, rank)
    seen.push(see())
  }
  child.kill("SIGKILL")
  console.log(JSON.stringify(seen))`

const rankUnder = (words: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<number>> => {
  const [file, ...args] = [...words, process.execPath, "--no-warnings", "--input-type=module"]
  const { error, stderr, stdout } = spawnSync(file!, [...args, "-e", script], { encoding: "utf8" })
  assert.strictEqual(stderr, "", error?.message)
  return JSON.parse(stdout)
}

/** `SCHED_BATCH` and the lowest niceness. */
const last = [19, 3]

const cases: ReadonlyArray<readonly [how: string, words: ReadonlyArray<string>]> = [
  ["as usual", []],
  ["with a niceness", ["nice", "-n", "5"]],
  ["as a batch", ["chrt", "--batch", "0"]],
  ["in real time", ["chrt", "--rr", "3"]],
]

/** Not every machine lets root start something in real time. */
const isPossible = ([file, ...args]: ReadonlyArray<string>): boolean =>
  file === undefined || spawnSync(file, [...args, "true"]).status === 0

// Only root may take niceness back.
describe.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)("rank", () => {
  for (const [how, words] of cases)
    it.skipIf(!isPossible(words))(`what was started ${how} is so again`, () => {
      const [before, ranked, after] = rankUnder(words)
      assert.deepStrictEqual(ranked?.slice(0, 2), last)
      assert.include([undefined, 19], ranked?.[2])
      assert.notDeepEqual(before, ranked)
      assert.deepStrictEqual(after, before)
    })
})
