/**
 * Walls are found by trying them, not by looking for programs; and a kernel refuses to start
 * behind less than its operator demands (promise 6).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Runtime } from "solo"

import { Enclosure, findTools } from "../../../plugins/boxes/Enclosure.ts"
import { layer } from "../../../plugins/boxes/index.ts"
import { tryOut } from "../../../plugins/boxes/Trial.ts"
import { findWalls } from "../../../plugins/boxes/Walls.ts"
import { bundle } from "../../../plugins/realm/Assets.ts"

const probe = bundle("boxes/Probe.cjs")
const tools = findTools()
const isLinux = process.platform === "linux"

const trial = async (enclosure: Enclosure) => {
  try {
    return await tryOut(enclosure, probe)
  } finally {
    enclosure.close()
  }
}

describe("the trial", () => {
  it.skipIf(!isLinux)("sees what a box without walls can do", async () => {
    const verdict = await trial(new Enclosure("none", { ...tools, prlimit: undefined }, false))
    assert.strictEqual(verdict._tag, "Ran")
    assert.includeMembers(verdict._tag === "Ran" ? [...verdict.breaches] : [], [
      "read",
      "write",
      "list",
      "signal",
      "execute",
      "connect",
    ])
  })

  it.skipIf(!isLinux)("finds nothing that a sealed box can do", async () => {
    const verdict = await trial(new Enclosure("sealed", tools, true))
    assert.deepStrictEqual(verdict._tag === "Ran" ? verdict.breaches : verdict, [])
  })

  it.skipIf(tools.bwrap === undefined)(
    "finds nothing that a bubblewrapped box can do",
    async () => {
      const verdict = await trial(new Enclosure("bubblewrap", tools, true))
      assert.deepStrictEqual(verdict._tag === "Ran" ? verdict.breaches : verdict, [])
    },
  )
})

describe("the choice", () => {
  it("falls back from bubblewrap that does not work, and says why", async () => {
    const broken = { ...tools, bwrap: "/bin/false", libraries: ["/bin/false"] }
    const found = await findWalls(["bubblewrap", "sealed", "none"], broken, probe)
    found.enclosure.close()
    assert.notStrictEqual(found.enclosure.level, "bubblewrap")
    const wall = found.walls.find(({ name }) => name === "bubblewrap")!
    assert.isFalse(wall.stands)
    assert.isAbove(wall.detail.length, 5)
  })

  it("without bubblewrap installed it says so", async () => {
    const found = await findWalls(["bubblewrap", "none"], { ...tools, bwrap: undefined }, probe)
    found.enclosure.close()
    assert.strictEqual(found.meets, "none")
    assert.match(
      found.walls.find(({ name }) => name === "bubblewrap")!.detail,
      /not installed|Linux only/,
    )
  })

  it.effect("refuses to start behind less than is required, and names what is missing", () =>
    Effect.gen(function* () {
      const weak = layer({ sandbox: { require: "bubblewrap", strongest: "none" } })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(weak)))
      assert.strictEqual(error._tag, "SandboxTooWeak")
      assert.match(error.message, /sandbox\.require demands bubblewrap.*only none stands.*seccomp/)
    }),
  )

  it.effect("reports the walls in the open", () =>
    Effect.gen(function* () {
      const { isolation, walls } = yield* Runtime
      const standing = walls.filter(({ stands }) => stands).map(({ name }) => name)
      assert.includeMembers(standing, ["permission", "realm"])
      assert.notInclude(standing, "seccomp")
      for (const name of standing) assert.include(isolation, name)
    }).pipe(Effect.provide(layer({ sandbox: { strongest: "none" }, pool: 0 }))),
  )
})
