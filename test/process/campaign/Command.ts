/**
 * `npm run campaign -- --rounds N --seed S`: a campaign by hand. Says how far it is as it goes, and
 * what it came to at the end, also when it is told to stop (SIGINT, SIGTERM). Ends with 1 after a
 * loss.
 *
 * `--parallel L` plays in L lanes at once, each on a directory of its own and with a seed of its
 * own; `--runtime` is `boxes` unless said otherwise; `--every N` sets how often it reports; `--out`
 * names a file for the figures.
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"

import { runCampaign } from "./Campaign.ts"
import { countedUnder, describeFigures, type Figures, makeFigures, sumOf } from "./Figures.ts"
import { endAll } from "./Run.ts"

/** Seeds of lanes lie this far apart. */
const laneStep = 1_000_003

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "100" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    parallel: { type: "string", default: "1" },
    runtime: { type: "string", default: "boxes" },
    every: { type: "string", default: "10" },
    out: { type: "string" },
  },
})
const rounds = Number(values.rounds)
const seed = Number(values.seed)
const every = Number(values.every)
const print = (text: string) => process.stdout.write(`${text}\n`)

const lanes = Array.from({ length: Number(values.parallel) }, (_, lane) => ({
  seed: seed + lane * laneStep,
  rounds: Math.floor((rounds + lane) / Number(values.parallel)),
  figures: makeFigures(),
}))
const begun = performance.now()
const seconds = () => Math.round((performance.now() - begun) / 1000)
const breaking = new AbortController()

const told = (prefix: string, figures: Figures): string => {
  const { total, parts } = countedUnder(figures, prefix)
  return `${total} (${Object.entries(parts)
    .map(([what, n]) => `${what} ${n}`)
    .join(", ")})`
}

const progress = (): void => {
  const sum = sumOf(lanes.map(({ figures }) => figures))
  const done = sum.counts.get("rounds") ?? 0
  if (done % every !== 0) return
  print(
    [
      `round ${done} of ${rounds}, ${seconds()} s`,
      `kills ${told("kills: ", sum)}`,
      `acknowledgements checked ${told("acknowledgements checked: ", sum)}`,
      `losses ${sum.losses.length}`,
    ].join("; "),
  )
}

const conclude = (): void => {
  const sum = sumOf(lanes.map(({ figures }) => figures))
  print(breaking.signal.aborted ? `broken off after ${seconds()} s` : `${seconds()} s`)
  print(`kills: ${told("kills: ", sum)}`)
  print(`acknowledgements checked: ${told("acknowledgements checked: ", sum)}`)
  print(describeFigures(sum))
  if (values.out !== undefined) {
    const result = {
      seed,
      rounds: sum.counts.get("rounds") ?? 0,
      planned: rounds,
      parallel: lanes.length,
      runtime: values.runtime,
      node: process.version,
      seconds: seconds(),
      brokenOff: breaking.signal.aborted,
      kills: countedUnder(sum, "kills: "),
      acknowledgementsChecked: countedUnder(sum, "acknowledgements checked: "),
      losses: sum.losses,
      counts: Object.fromEntries([...sum.counts].sort(([a], [b]) => (a < b ? -1 : 1))),
    }
    writeFileSync(values.out, `${JSON.stringify(result, undefined, 2)}\n`)
  }
  for (const lane of lanes.filter(({ figures }) => figures.losses.length > 0)) {
    const { round } = lane.figures.losses[0]!
    print(
      `again: npm run campaign -- --rounds ${round} --seed ${lane.seed} --runtime ${values.runtime}`,
    )
    process.exitCode = 1
  }
}

/** Longest time that a campaign that is broken off may take to clear up, in milliseconds. */
const clearingMs = 20_000

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    breaking.abort()
    // A round may be about to start another one.
    setInterval(() => endAll(), 50).unref()
    setTimeout(() => {
      conclude()
      process.exit()
    }, clearingMs).unref()
  })
}

print(`campaign of ${rounds} rounds, seed ${seed}, ${lanes.length} at once, ${values.runtime}`)
await Promise.all(
  lanes.map((lane) =>
    runCampaign({
      rounds: lane.rounds,
      seed: lane.seed,
      figures: lane.figures,
      env: { SOLO_RUNTIME: values.runtime },
      signal: breaking.signal,
      onRound: progress,
    }),
  ),
)
conclude()
