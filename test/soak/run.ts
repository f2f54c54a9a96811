/**
 * `npm run soak -- --minutes M --lives L`: measures kernels at work for that long. Says every minute
 * how it goes; writes `soak.csv` and `soak.svg` into `--out` (`coverage`), also when it is told to
 * stop; ends with 1 if something was lost or grew more than it may.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"

import { describeFigures, type Figures, makeFigures } from "../process/campaign/Figures.ts"
import { growthOf, maxWal } from "./Growth.ts"
import { plot } from "./Plot.ts"
import { columns, type Sample } from "./Sample.ts"
import { soak } from "./Soak.ts"

/** How often it says how it goes. */
const progressMs = 60_000

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    lives: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    runtime: { type: "string", default: "boxes" },
    out: { type: "string", default: "coverage" },
  },
})
const minutes = Number(values.minutes)
const print = (text: string) => process.stdout.write(`${text}\n`)
const asMebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`

const shown = ["rss", "handles", "threads", "processes", "database", "wal"] as const
const show = (column: (typeof shown)[number], value: number): string =>
  ["rss", "database", "wal"].includes(column) ? asMebibytes(value) : String(value)

const describe = (sample: Sample): string =>
  shown.map((column) => `${column} ${show(column, sample[column])}`).join(", ")

const writeSamples = (samples: ReadonlyArray<Sample>): void => {
  mkdirSync(values.out, { recursive: true })
  const rows = samples.map((sample) => columns.map((column) => sample[column]).join(","))
  writeFileSync(join(values.out, "soak.csv"), `${columns.join(",")}\n${rows.join("\n")}\n`)
  const series = shown.map((column) => ({
    title: column,
    values: samples.map((sample) => sample[column]),
    show: (value: number) => show(column, value),
  }))
  const beginnings = samples.flatMap(({ life }, index) =>
    index > 0 && samples[index - 1]!.life !== life ? [index] : [],
  )
  writeFileSync(join(values.out, "soak.svg"), plot(series, beginnings))
}

/** What each kernel came to, one row each, and how much its floors rose. */
const table = (samples: ReadonlyArray<Sample>): ReadonlyArray<string> => {
  const lives = [...new Set(samples.map(({ life }) => life))]
  const rows = lives.map((life) => {
    const own = samples.filter((sample) => sample.life === life)
    const growths = growthOf(own)
    const cells = shown.map((column) => {
      const growth = growths.find(({ bound }) => bound.what === column)
      const rise =
        growth === undefined
          ? ""
          : ` (floor ${growth.grown < 0 ? "" : "+"}${show(column, growth.grown)})`
      return `${show(column, Math.max(...own.map((sample) => sample[column])))}${rise}`
    })
    const seconds = own.at(-1)!.at - own[0]!.at
    return `| ${[life, `${seconds} s`, own.at(-1)!.steps - own[0]!.steps, ...cells].join(" | ")} |`
  })
  return [
    `| life | time | steps | ${shown.join(" | ")} |`,
    `|${" --- |".repeat(shown.length + 3)}`,
    ...rows,
  ]
}

const conclude = (samples: ReadonlyArray<Sample>, figures: Figures): void => {
  if (samples.length > 0) writeSamples(samples)
  print("\nhighest values of each kernel, and how much the floor of each rose:")
  for (const line of table(samples)) print(line)
  print(describeFigures(figures))
  const lives = [...new Set(samples.map(({ life }) => life))]
  const tooMuch = lives
    .flatMap((life) => growthOf(samples.filter((sample) => sample.life === life)))
    .filter(({ isTooMuch }) => isTooMuch)
  for (const { life, bound, grown, steps } of tooMuch) {
    print(
      `life ${life}: ${bound.what} rose by ${show(bound.what, grown)} in ${steps} steps: TOO MUCH`,
    )
  }
  const most = Math.max(0, ...samples.map(({ wal }) => wal))
  if (most > maxWal) print(`the write-ahead log grew to ${asMebibytes(most)}: TOO MUCH`)
  if (figures.losses.length > 0 || most > maxWal || tooMuch.length > 0) process.exitCode = 1
}

const stopping = new AbortController()
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort())

const samples: Array<Sample> = []
const figures = makeFigures()
let toldAt = performance.now()
print(`soak of ${minutes} minutes in ${values.lives} lives, seed ${values.seed}, ${values.runtime}`)
await soak({
  durationMs: minutes * 60_000,
  seed: Number(values.seed),
  lives: Number(values.lives),
  env: { SOLO_RUNTIME: values.runtime },
  figures,
  signal: stopping.signal,
  onSample: (sample) => {
    samples.push(sample)
    if (performance.now() - toldAt < progressMs) return
    toldAt = performance.now()
    const { at, life, steps } = sample
    print(
      `${at} s: life ${life}, ${steps} steps, ${describe(sample)}, losses ${figures.losses.length}`,
    )
  },
})
if (stopping.signal.aborted) print("told to stop")
conclude(samples, figures)
