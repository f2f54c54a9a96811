/**
 * `npm run soak -- --minutes M --lives L`: measures a kernel at work for that long, writes the measurements
 * to coverage/soak.csv, and ends with 1 if something was lost or grew more than it may.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"

import { describeFigures } from "../process/campaign/Figures.ts"
import { growthOf, maxWal } from "./Growth.ts"
import { plot } from "./Plot.ts"
import { columns } from "./Sample.ts"
import { soak } from "./Soak.ts"

const { values } = parseArgs({
  options: { minutes: { type: "string" }, lives: { type: "string" }, seed: { type: "string" } },
})
const minutes = Number(values.minutes ?? 10)
const seed = Number(values.seed ?? 1)
const runtime = process.env["SOLO_RUNTIME"]
const print = (text: string) => process.stdout.write(`${text}\n`)
const asMebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`

const { figures, samples } = await soak({
  durationMs: minutes * 60_000,
  seed,
  lives: Number(values.lives ?? 3),
  env: runtime === undefined ? {} : { SOLO_RUNTIME: runtime },
})
mkdirSync("coverage", { recursive: true })
const rows = samples.map((sample) => columns.map((column) => sample[column]).join(","))
writeFileSync("coverage/soak.csv", `${columns.join(",")}\n${rows.join("\n")}\n`)

for (const column of ["rss", "handles", "threads", "database", "wal"] as const) {
  const isSize = column === "rss" || column === "database" || column === "wal"
  const series = samples.map((sample) => sample[column])
  print(plot(column, series, isSize ? asMebibytes : String))
}
const lives = [...new Set(samples.map(({ life }) => life))]
const growths = lives.flatMap((life) => growthOf(samples.filter((sample) => sample.life === life)))
for (const { bound, grown, isTooMuch, life, steps } of growths) {
  const amount = bound.what === "rss" ? asMebibytes(grown) : String(grown)
  const verdict = isTooMuch ? "TOO MUCH" : "fine"
  print(`life ${life}: the floor of ${bound.what} rose by ${amount} in ${steps} steps: ${verdict}`)
}
print(describeFigures(figures))
const most = Math.max(...samples.map(({ wal }) => wal))
if (most > maxWal) print(`the write-ahead log grew to ${asMebibytes(most)}: TOO MUCH`)
if (figures.losses.length > 0 || most > maxWal || growths.some(({ isTooMuch }) => isTooMuch)) {
  process.exitCode = 1
}
