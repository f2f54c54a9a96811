/**
 * `npm run campaign -- --rounds N --seed S`: a campaign by hand. Ends with 1 after a loss.
 */
import { parseArgs } from "node:util"

import { runCampaign } from "./Campaign.ts"
import { describeFigures } from "./Figures.ts"

const { values } = parseArgs({
  options: { rounds: { type: "string" }, seed: { type: "string" } },
})
const rounds = Number(values.rounds ?? 100)
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const print = (text: string) => process.stdout.write(`${text}\n`)

const begun = performance.now()
print(`campaign of ${rounds} rounds, seed ${seed}`)
const runtime = process.env["SOLO_RUNTIME"]
const figures = await runCampaign({
  rounds,
  seed,
  env: runtime === undefined ? {} : { SOLO_RUNTIME: runtime },
  onRound: ({ round, losses }) => {
    const seconds = Math.round((performance.now() - begun) / 1000)
    if (round % 10 === 0) print(`round ${round}, ${seconds} s, losses ${losses.length}`)
  },
})
print(describeFigures(figures))
if (figures.losses.length > 0) {
  print(`again: npm run campaign -- --rounds ${figures.round} --seed ${seed}`)
  process.exitCode = 1
}
