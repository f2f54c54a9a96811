/**
 * The realm against web-platform-tests: every case of the chosen files passes, or fails for the
 * reason given for it. The tests are not part of this repository: TEST_WPT names a checkout of
 * https://github.com/web-platform-tests/wpt at the commit in `expected.json`; without it the suite
 * is left out.
 */
import { existsSync } from "node:fs"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { expected, whyFails } from "./Expected.ts"
import { runFile } from "./Run.ts"

const root = process.env["TEST_WPT"] ?? ""
const isThere = existsSync(`${root}/resources/testharness.js`)

describe("what is expected of web-platform-tests", () => {
  it("gives a reason for every deviation", () => {
    const used = Object.values(expected.files).flatMap((deviations) => Object.keys(deviations))
    assert.deepStrictEqual([...new Set(used)].sort(), Object.keys(expected.reasons).sort())
  })
})

describe.skipIf(!isThere)(`web-platform-tests at ${expected.commit}`, () => {
  for (const file of Object.keys(expected.files))
    it.live(file, () =>
      Effect.gen(function* () {
        const outcomes = yield* runFile(root, file)
        assert.isAbove(outcomes.length, 0)
        const surprises = outcomes.flatMap(({ message, name, status }) => {
          const why = whyFails(file, name)
          if (status === 0) return why === undefined ? [] : [`${name}: passes, but: ${why}`]
          return why === undefined ? [`${name}: ${message ?? "fails"}`] : []
        })
        assert.deepStrictEqual(surprises, [])
      }),
    )
})
