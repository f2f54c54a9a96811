/**
 * The logs of all released versions, replayed by this one with its real process: the same services
 * run, say the same, and not one event is changed (promises 1, 2, 3, 5).
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { goldenVersions, meaningOf, recordedMeaning, restore } from "../golden/GoldenLog.ts"
import { dataDirectory, kernel, ready } from "../process/KernelProcess.ts"

describe("golden logs", () => {
  it("there are some", () => assert.isAbove(goldenVersions.length, 0))

  it.live.each(goldenVersions)(
    "the log of %s means what it meant (promises 1, 2, 3, 5)",
    (version) =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        mkdirSync(dataDir, { mode: 0o700 })
        restore(version, join(dataDir, "solo.db"))
        const running = yield* kernel({ dataDir })
        const expected = recordedMeaning(version)
        assert.isAbove(expected.services.length, 0)
        const found = yield* Effect.promise(async () => {
          await ready(running)
          return await meaningOf(running, expected.hashes.length)
        })
        assert.deepStrictEqual(found, expected)
      }),
    60_000,
  )
})
