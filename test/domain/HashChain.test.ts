/**
 * The chain of the log: every log ever written must fit it for ever (promise 5).
 */
import { createHash } from "node:crypto"

import { assert, it } from "vitest"

import { genesis, type Link, linkHash } from "../../src/domain/HashChain.ts"

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")

const link: Link = {
  id: 7,
  time: "2026-01-01T00:00:00.000Z",
  tenantId: "acme",
  serviceId: "a",
  type: "service_killed",
  version: 1,
  actor: null,
  causationId: 3,
  payload: '{"revision":1,"force":false}',
}

it("hashes every column behind the hash before, from 64 zeros on", () => {
  const text =
    `["${"0".repeat(64)}",7,"2026-01-01T00:00:00.000Z","acme","a","service_killed",1,null,3,` +
    String.raw`"{\"revision\":1,\"force\":false}"]`
  assert.strictEqual(linkHash(sha256, genesis, link), sha256(text))
})

it.each(Object.keys(link))("gives another hash when another %s was written", (column) => {
  const other = { ...link, [column]: "something else" }
  assert.notStrictEqual(linkHash(sha256, genesis, other), linkHash(sha256, genesis, link))
})
