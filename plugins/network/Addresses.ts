/**
 * Which addresses services may reach: those of the public internet, and what the operator adds.
 * Everything that leads into the machine, its networks or around this list is refused, also where
 * it hides an IPv4 address inside one of IPv6.
 */
import { BlockList, isIP } from "node:net"

import * as Schema from "effect/Schema"
import { destinationOf } from "solo"

type Range = readonly [network: string, prefix: number, kind: string]

/** https://www.iana.org/assignments/iana-ipv4-special-registry */
const special4: ReadonlyArray<Range> = [
  ["0.0.0.0", 8, "unspecified"],
  ["10.0.0.0", 8, "private"],
  ["100.64.0.0", 10, "shared"],
  ["127.0.0.0", 8, "loopback"],
  ["169.254.0.0", 16, "link-local"],
  ["172.16.0.0", 12, "private"],
  ["192.0.0.0", 24, "reserved"],
  ["192.0.2.0", 24, "documentation"],
  ["192.31.196.0", 24, "reserved"],
  ["192.52.193.0", 24, "reserved"],
  ["192.88.99.0", 24, "translated"],
  ["192.168.0.0", 16, "private"],
  ["192.175.48.0", 24, "reserved"],
  ["198.18.0.0", 15, "benchmarking"],
  ["198.51.100.0", 24, "documentation"],
  ["203.0.113.0", 24, "documentation"],
  ["224.0.0.0", 4, "multicast"],
  ["240.0.0.0", 4, "reserved"],
]

/** https://www.iana.org/assignments/iana-ipv6-special-registry; the first that matches counts. */
const special6: ReadonlyArray<Range> = [
  ["::", 128, "unspecified"],
  ["::1", 128, "loopback"],
  ["::ffff:0:0", 96, "mapped"],
  ["64:ff9b::", 96, "translated"],
  ["64:ff9b:1::", 48, "translated"],
  ["2001::", 23, "translated"],
  ["2001:db8::", 32, "documentation"],
  ["2002::", 16, "translated"],
  ["2620:4f:8000::", 48, "reserved"],
  ["3fff::", 20, "documentation"],
  ["fc00::", 7, "private"],
  ["fe80::", 10, "link-local"],
  ["fec0::", 10, "private"],
  ["ff00::", 8, "multicast"],
]

type Family = "ipv4" | "ipv6"

const listOf = (
  family: Family,
  [network, prefix]: readonly [string, number, ...Array<unknown>],
) => {
  const list = new BlockList()
  list.addSubnet(network, prefix, family)
  return list
}

const kinds4 = special4.map((range) => [listOf("ipv4", range), range[2]] as const)
const kinds6 = special6.map((range) => [listOf("ipv6", range), range[2]] as const)

/** All that is routed on the internet: the rest is reserved. */
const global6 = listOf("ipv6", ["2000::", 3])

const familyOf = (address: string): Family | undefined => {
  const version = address.includes("%") ? 0 : isIP(address)
  return version === 4 ? "ipv4" : version === 6 ? "ipv6" : undefined
}

/** What kind of address it is, where it is none of the public internet. */
export const specialKind = (address: string): string | undefined => {
  const family = familyOf(address)
  if (family === undefined) return "malformed"
  const ranges = family === "ipv4" ? kinds4 : kinds6
  const kind = ranges.find(([list]) => list.check(address, family))?.[1]
  if (kind !== undefined || family === "ipv4") return kind
  return global6.check(address, family) ? undefined : "reserved"
}

/** Something that is allowed: a destination by name, or a range of addresses. */
type Allowed =
  | { readonly destination: string }
  | { readonly list: BlockList; readonly family: Family }

const cidr = /^([0-9A-Fa-f:.]+)\/(\d{1,3})$/

/** Reads `host:port` or an address with its prefix, such as `10.0.0.0/8`; `undefined` for neither. */
export const allowanceOf = (text: string): Allowed | undefined => {
  const [, network, prefix] = cidr.exec(text) ?? []
  if (network === undefined) {
    const destination = destinationOf(text)
    return destination === undefined ? undefined : { destination }
  }
  const family = familyOf(network)
  if (family === undefined || Number(prefix) > (family === "ipv4" ? 32 : 128)) return undefined
  return { list: listOf(family, [network, Number(prefix)]), family }
}

/** What an operator may allow, as a text of the configuration. */
export const Allowance = Schema.String.check(
  Schema.makeFilter((text) => allowanceOf(text) !== undefined, {
    expected: "host:port, or an address and its prefix such as 10.0.0.0/8",
  }),
)

/** Says why `address` may not be reached as `destination`, or `undefined` where it may. */
export type Judge = (destination: string, address: string) => string | undefined

/** Judges by what the operator allows beside the public internet. */
export const judgeOf = (allow: ReadonlyArray<string>): Judge => {
  const allowances = allow.flatMap((text) => allowanceOf(text) ?? [])
  return (destination, address) => {
    const kind = specialKind(address)
    if (kind === undefined || kind === "malformed") return kind
    const family = familyOf(address)
    const isAllowed = allowances.some((allowance) =>
      "destination" in allowance
        ? allowance.destination === destination
        : allowance.family === family && allowance.list.check(address, family),
    )
    return isAllowed ? undefined : kind
  }
}
