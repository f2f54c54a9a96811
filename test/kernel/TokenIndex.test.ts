/**
 * Tokens in memory: found by their whole hash, kept in families and by tenant (promises 2 and 6).
 */
import { assert, describe, it } from "vitest"

import { type Capability, TokenHash } from "../../src/domain/Capability.ts"
import { TenantId } from "../../src/domain/Identifier.ts"
import { makeTokenIndex, type TokenEntry } from "../../src/kernel/capability/TokenIndex.ts"
import { capability } from "./Workbench.ts"

const a = TenantId.make("a")
const b = TenantId.make("b")

/** A capability whose hash is the hexadecimal `digit`, 64 times. */
const token = (digit: string, terms: Partial<Capability> = {}) =>
  capability(digit, { tokenHash: TokenHash.make(digit.repeat(64)), ...terms })
const hash = (digit: string) => token(digit).tokenHash

const digits = (entries: Iterable<TokenEntry>) =>
  Array.from(entries, ({ capability: { tokenHash } }) => tokenHash[0]).join("")

/** An index of tokens `1`, `2` made from it, `3` made from that, `4` beside them, `5` of tenant b. */
const filled = () => {
  const index = makeTokenIndex()
  index.add(token("1"), true)
  index.add(token("2", { parent: hash("1") }), true)
  index.add(token("3", { parent: hash("2") }), false)
  index.add(token("4"), true)
  index.add(token("5", { tenantId: b }), true)
  return index
}

const all = () => true

describe("TokenIndex", () => {
  it("finds a token by all of its hash (promise 2)", () => {
    const index = filled()
    assert.strictEqual(index.find("1".repeat(64))?.capability.tokenHash, hash("1"))
    assert.isUndefined(index.find("6".repeat(64)))
    assert.isUndefined(index.find(`${"1".repeat(63)}2`), "another end")
    assert.isUndefined(index.find(`${"1".repeat(32)}2${"1".repeat(31)}`), "another middle")
    assert.isUndefined(index.find("1".repeat(32)), "only its beginning")
    assert.isUndefined(index.find("1".repeat(63)))
    assert.isUndefined(index.find(`${"1".repeat(64)}1`), "more than it")
  })

  it("knows how far each is from one that was granted", () => {
    const index = filled()
    assert.deepStrictEqual(
      ["1", "2", "3", "4"].map((digit) => index.find(hash(digit))?.depth),
      [0, 1, 2, 0],
    )
    assert.strictEqual(index.find(hash("3"))?.parent, index.find(hash("2")))
    assert.isFalse(index.find(hash("3"))?.durable)
  })

  it("takes no token whose parent is not here (promise 2)", () => {
    const index = filled()
    assert.isUndefined(index.add(token("7", { parent: hash("6") }), true))
    assert.isUndefined(index.find(hash("7")))
    assert.strictEqual([...index.entries()].length, 5)
    assert.strictEqual(index.count(a), 4)
  })

  it("removes a token with its family, and nothing else (promise 2)", () => {
    const index = filled()
    assert.strictEqual(digits(index.family(index.find(hash("1"))!)), "123")
    assert.strictEqual(digits(index.remove(index.find(hash("2"))!)), "23")
    assert.strictEqual(digits(index.family(index.find(hash("1"))!)), "1")
    assert.strictEqual(digits(index.entries()), "145")
    assert.strictEqual(digits(index.remove(index.find(hash("1"))!)), "1")
    assert.strictEqual(digits(index.entries(a)), "4")
    assert.strictEqual(index.count(a), 1)
  })

  it("keeps tenants apart (promise 6)", () => {
    const index = filled()
    assert.strictEqual(digits(index.entries(b)), "5")
    assert.strictEqual(digits(index.page(b, undefined, 10, all)), "5")
    assert.deepStrictEqual([...index.tenants()], [a, b])
    index.remove(index.find(hash("5"))!)
    assert.strictEqual(index.count(b), 0)
    assert.deepStrictEqual([...index.tenants()], [a])
    assert.deepStrictEqual([...index.entries(b)], [])
    assert.deepStrictEqual(index.page(b, undefined, 10, all), [])
    assert.strictEqual(digits(index.page(a, undefined, 10, all)), "1234")
  })

  it("turns the pages of a tenant in the order of the hashes, whatever comes and goes", () => {
    const index = makeTokenIndex()
    for (const digit of "9d3a7b1") index.add(token(digit), true)
    const page = (after: string | undefined, limit = 3) =>
      digits(index.page(a, after === undefined ? undefined : hash(after), limit, all))
    assert.strictEqual(page(undefined), "137")
    assert.strictEqual(page("7"), "9ab")
    assert.strictEqual(page("b"), "d")
    assert.strictEqual(page("d"), "")
    assert.strictEqual(page("0"), "137")
    assert.strictEqual(page("8"), "9ab", "after one that is not there")
    assert.strictEqual(page(undefined, 0), "")
    index.add(token("5"), true)
    assert.strictEqual(page("3"), "579")
    index.remove(index.find(hash("7"))!)
    assert.strictEqual(page("3"), "59a")
    const odd = ({ capability: { tokenHash } }: TokenEntry) => "13579".includes(tokenHash[0]!)
    assert.strictEqual(digits(index.page(a, undefined, 3, odd)), "135", "a full page of those kept")
  })
})
