/**
 * Services reach the public internet and what the operator lists, whatever an address is dressed up
 * as (promise 6).
 */
import { assert, describe, it } from "@effect/vitest"

import { allowanceOf, judgeOf, specialKind } from "../../../plugins/network/Addresses.ts"

const special: Readonly<Record<string, string>> = {
  "0.0.0.0": "unspecified",
  "0.1.2.3": "unspecified",
  "10.0.0.1": "private",
  "10.255.255.255": "private",
  "100.64.0.1": "shared",
  "100.127.255.255": "shared",
  "127.0.0.1": "loopback",
  "127.255.255.254": "loopback",
  "169.254.169.254": "link-local",
  "172.16.0.1": "private",
  "172.31.255.255": "private",
  "192.0.0.192": "reserved",
  "192.168.1.1": "private",
  "198.18.0.1": "benchmarking",
  "224.0.0.1": "multicast",
  "239.255.255.250": "multicast",
  "255.255.255.255": "reserved",
  "::": "unspecified",
  "::1": "loopback",
  "0:0:0:0:0:0:0:1": "loopback",
  "::127.0.0.1": "reserved",
  "::ffff:127.0.0.1": "mapped",
  "::ffff:8.8.8.8": "mapped",
  "::ffff:0:127.0.0.1": "reserved",
  "64:ff9b::127.0.0.1": "translated",
  "64:ff9b:1::1": "translated",
  "2002:7f00:1::": "translated",
  "2001:0:4136:e378:8000:63bf:3fff:fdd2": "translated",
  "fc00::1": "private",
  "fd00:ec2::254": "private",
  "fe80::1": "link-local",
  "fe80::1%lo": "malformed",
  "fec0::1": "private",
  "ff02::1": "multicast",
  "100::1": "reserved",
  "5f00::1": "reserved",
  "": "malformed",
  "0x7f.1": "malformed",
  "127.1": "malformed",
  localhost: "malformed",
}

describe("addresses", () => {
  for (const [address, kind] of Object.entries(special))
    it(`${address || "nothing"} is ${kind}`, () => {
      assert.strictEqual(specialKind(address), kind)
    })

  for (const address of [
    "8.8.8.8",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "169.253.0.1",
    "192.167.255.255",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
  ])
    it(`${address} is of the internet`, () => {
      assert.isUndefined(specialKind(address))
    })
})

describe("what the operator allows", () => {
  it("is a destination with whatever address it has, or a range", () => {
    const judge = judgeOf(["db.internal:5432", "127.0.0.1:9000", "10.1.0.0/16", "fd00::/8"])
    assert.isUndefined(judge("db.internal:5432", "10.9.9.9"))
    assert.strictEqual(judge("db.internal:5433", "10.9.9.9"), "private")
    assert.strictEqual(judge("other.internal:5432", "10.9.9.9"), "private")
    assert.isUndefined(judge("127.0.0.1:9000", "127.0.0.1"))
    assert.strictEqual(judge("127.0.0.1:9001", "127.0.0.1"), "loopback")
    assert.isUndefined(judge("any.test:1", "10.1.255.1"))
    assert.strictEqual(judge("any.test:1", "10.2.0.1"), "private")
    assert.strictEqual(judge("any.test:1", "::ffff:10.1.0.1"), "mapped")
    assert.isUndefined(judge("any.test:1", "fd12::1"))
    assert.strictEqual(judge("any.test:1", "fe80::1"), "link-local")
    assert.strictEqual(judge("db.internal:5432", "10.9.9.9%x"), "malformed")
  })

  it("is refused where it is neither", () => {
    for (const odd of ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0/8", "x/8", "a:b", "*:1"])
      assert.isUndefined(allowanceOf(odd), odd)
  })
})
