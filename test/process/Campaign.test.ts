/**
 * Ten rounds of the campaign: real kernels, concurrent clients, `kill -9` at random moments
 * (promises 1, 2, 3, 5, 6, 9, 10). By hand: `npm run campaign -- --rounds 1000 --seed S`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { runCampaign } from "./campaign/Campaign.ts"
import { countedUnder, describeFigures } from "./campaign/Figures.ts"

const rounds = 10

describe("campaign", () => {
  it.live(
    "5.2 ten rounds of pulling the plug lose nothing that was acknowledged",
    () =>
      Effect.gen(function* () {
        const seed = Number(process.env["CAMPAIGN_SEED"] ?? process.pid)
        const figures = yield* Effect.promise(() => runCampaign({ rounds, seed }))
        const told = `CAMPAIGN_SEED=${seed}\n${describeFigures(figures)}`
        assert.deepStrictEqual(figures.losses, [], told)
        // A campaign in which nothing happened would prove nothing.
        assert.strictEqual(figures.counts.get("rounds"), rounds, told)
        assert.isAbove(countedUnder(figures, "acknowledgements checked: ").total, 0, told)
        assert.isAbove(figures.counts.get("services examined") ?? 0, 0, told)
        assert.isAbove(figures.counts.get("events seen") ?? 0, 0, told)
      }),
    180_000,
  )
})
