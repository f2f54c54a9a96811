/**
 * Turns are taken at the rate they come back, by each for themselves, and those who are done are
 * forgotten (promise 4).
 */
import { assert, describe, it } from "@effect/vitest"

import { RateLimit } from "../../src/kernel/services/RateLimit.ts"

describe("RateLimit", () => {
  it("lets a burst through, then so many a second, for each of them", () => {
    let now = 0
    const limit = new RateLimit<string>(3, 10, () => now)
    const waits = (who: string, count: number) =>
      Array.from({ length: count }, () => limit.take(who))
    assert.deepStrictEqual(waits("a", 5), [0, 0, 0, 100, 200])
    assert.deepStrictEqual(waits("b", 1), [0])
    now = 200
    assert.deepStrictEqual(waits("a", 1), [100])
    now = 10_000
    assert.deepStrictEqual(waits("a", 4), [0, 0, 0, 100])
    // A clock that was set back gives nothing and takes nothing.
    now = 0
    assert.deepStrictEqual(waits("a", 1), [200])
  })

  it("forgets nobody who still waits, however many come", () => {
    let now = 0
    const limit = new RateLimit<number>(1, 1, () => now)
    limit.take(-1)
    limit.take(-1)
    for (let who = 0; who < 5000; who++) limit.take(who)
    now = 500
    assert.strictEqual(limit.take(-1), 1500)
  })
})
