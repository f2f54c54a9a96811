/**
 * Which plugins take part, in which order, and what is said when that cannot be.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

import { pluginApiVersion } from "../../src/kernel/plugin/Plugin.ts"
import { arrange } from "../../src/kernel/plugin/PluginOrder.ts"
import { entry, key, namesOf, plugin } from "./Plugins.ts"

describe("arrange", () => {
  it("starts providers before those who need them, otherwise as listed", () => {
    const { order, refused } = arrange(
      [
        entry(plugin("http", ["Deployer"], [])),
        entry(plugin("metrics", ["Events"], [])),
        entry(plugin("kernel", ["Sql"], ["Events", "Deployer"])),
        entry(plugin("sqlite", ["Digest"], ["Sql"])),
        entry(plugin("alone", [], [])),
      ],
      [key("Digest")],
    )
    assert.deepStrictEqual(namesOf(order), ["sqlite", "kernel", "http", "metrics", "alone"])
    assert.deepStrictEqual(refused, [])
  })

  it("names a missing need, and who would have provided it", () => {
    const { refused } = arrange([
      entry(plugin("a", ["X"], [])),
      entry(plugin("b", ["Y"], ["Z"]), { optional: true }),
      entry(plugin("c", ["Z"], [])),
    ])
    assert.deepStrictEqual(
      refused.map(({ error }) => error.message),
      [
        "plugin a: needs X, which no plugin provides; add one that does",
        "plugin b: needs Y, which no plugin provides; add one that does",
        "plugin c: needs Z, which b would have provided, had it started",
      ],
    )
  })

  it("names the whole circle", () => {
    const { order, refused } = arrange([
      entry(plugin("a", ["C"], ["A"])),
      entry(plugin("b", ["A"], ["B"])),
      entry(plugin("c", ["B"], ["C"])),
      entry(plugin("d", [], [])),
    ])
    assert.include(refused[0]?.error.message, "a → c → b → a")
    assert.deepStrictEqual(namesOf(order), ["d"])
    const self = arrange([entry(plugin("a", ["A"], ["A"]))])
    assert.include(self.refused[0]?.error.message, "a → a")
  })

  it("breaks a circle at an optional plugin", () => {
    const { order, refused } = arrange([
      entry(plugin("a", ["B"], ["A"]), { optional: true }),
      entry(plugin("b", [], ["C"])),
      entry(plugin("c", ["A"], ["B"]), { optional: true }),
    ])
    assert.deepStrictEqual(namesOf(order), ["b"])
    assert.deepStrictEqual(
      refused.map(({ error }) => error._tag),
      ["PluginCycle", "NeedMissing"],
    )
  })

  it("refuses two of one name and two providers of one service; an optional one gives way", () => {
    const twice = arrange([
      entry(plugin("a", [], []), { source: "./one.ts" }),
      entry(plugin("a", [], []), { source: "./two.ts" }),
    ])
    assert.include(twice.refused[0]?.error.message, "from ./one.ts and from ./two.ts")
    const providers = arrange([
      entry(plugin("a", [], ["S", "T"]), { optional: true }),
      entry(plugin("b", [], ["S"])),
      entry(plugin("c", [], ["T"])),
    ])
    assert.deepStrictEqual(namesOf(providers.order), ["b", "c"])
    assert.include(providers.refused[0]?.error.message, "plugin a: provides S, which b provides")
    const host = arrange([entry(plugin("a", [], ["Digest"]))], [key("Digest")])
    assert.strictEqual(host.refused[0]?.error._tag, "ServiceProvidedTwice")
  })

  it("names both API versions", () => {
    const old = { ...plugin("old", [], []), apiVersion: 99 }
    assert.include(
      arrange([entry(old)]).refused[0]?.error.message,
      `made for plugin API 99, this kernel has plugin API ${pluginApiVersion}`,
    )
  })

  const digit = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
  const Nodes = Schema.Array(
    Schema.Struct({
      needs: Schema.Array(digit).check(Schema.isMaxLength(3)),
      provides: Schema.Array(digit).check(Schema.isMaxLength(2)),
      optional: Schema.Boolean,
    }),
  ).check(Schema.isMaxLength(12))

  it.prop(
    "never starts anything before its needs, and places every entry exactly once",
    [Nodes],
    ([nodes]) => {
      const entries = nodes.map(({ needs, optional, provides }, index) =>
        entry(plugin(`p${index}`, needs.map(String), provides.map(String)), { optional }),
      )
      const { order, refused } = arrange(entries)
      assert.sameMembers([...order, ...refused.map(({ entry }) => entry)], entries)
      const available = new Set<string>()
      for (const { plugin } of order) {
        for (const need of plugin.needs) assert.isTrue(available.has(need.key))
        for (const provided of new Set(plugin.provides.map(({ key }) => key))) {
          assert.isFalse(available.has(provided))
          available.add(provided)
        }
      }
    },
  )
})
