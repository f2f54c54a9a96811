/**
 * Hostile services in a real kernel, behind the strongest walls there are. None gets out, none
 * hurts a neighbour, none harms the kernel (promises 4, 6 and 9).
 */
import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { CrimeScene } from "./CrimeScene.ts"
import { outsideScenarios } from "./Outside.ts"
import { realmScenarios } from "./Realm.ts"
import { runawayScenarios } from "./Runaways.ts"

const minute = 60_000

let scene: CrimeScene

beforeAll(async () => {
  scene = await CrimeScene.make({})
}, minute)

describe.each([
  ["a way out of the realm", realmScenarios],
  ["requests out of it", outsideScenarios],
  ["a runaway", runawayScenarios],
])("%s", (_, scenarios) => {
  it.each(scenarios.map((scenario) => [scenario.name, scenario.tries, scenario] as const))(
    "%s: %s",
    async (name, tries, scenario) => {
      const verdict = await scene.try(scenario)
      assert.deepStrictEqual(verdict.harm, [], `${name}, which tries to ${tries}: ${verdict.said}`)
      if (scenario.fate === "either") assert.notStrictEqual(verdict.fate, "refused", verdict.said)
      else assert.strictEqual(verdict.fate, scenario.fate, verdict.said)
    },
    minute,
  )
})

describe("afterwards", () => {
  it("the kernel's database is whole", () => {
    assert.deepStrictEqual(scene.databaseHarm(), [])
  })

  it("those that broke a limit are named in the log", async () => {
    const events = await scene.events("resource_violation")
    const limits = new Set(events.map(({ payload }) => (payload as { limit: string }).limit))
    // Whether a bomb stalls before its heap is full is up to how busy the machine is.
    assert.isNotEmpty([...limits].filter((limit) => ["stallMs", "heapMb"].includes(limit)))
  })
})

afterAll(async () => {
  assert.strictEqual(await scene.close(), 0)
}, minute)
