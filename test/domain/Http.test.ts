/**
 * The rules of HTTP that every way in and out shares.
 */
import { assert, describe, it } from "@effect/vitest"

import { declaredHopByHop, hopByHop, mayHaveBody } from "../../src/domain/Http.ts"

describe("headers of one connection", () => {
  it("are those of HTTP and of proxies, in lower case", () => {
    for (const name of ["connection", "te", "transfer-encoding", "proxy-connection"])
      assert.isTrue(hopByHop.has(name), name)
    assert.deepStrictEqual(
      [...hopByHop],
      [...hopByHop].map((name) => name.toLowerCase()),
    )
    assert.isFalse(hopByHop.has("content-length"))
  })

  it("are also what Connection declares, however it is written", () => {
    for (const value of ["Close, X-Own", "x-own,close", "X-OWN ,\tclose"])
      assert.sameMembers([...declaredHopByHop(value)!], ["close", "x-own"], value)
    for (const value of [undefined, "keep-alive", "Keep-Alive", "close"])
      assert.isUndefined(declaredHopByHop(value))
  })
})

describe("a response", () => {
  it("has no body to HEAD, and with 204, 205 and 304", () => {
    for (const status of [204, 205, 304]) assert.isFalse(mayHaveBody("GET", status))
    assert.isFalse(mayHaveBody("HEAD", 200))
    for (const status of [200, 206, 302, 404, 500]) assert.isTrue(mayHaveBody("POST", status))
  })
})
