/**
 * Values of `ctx.store` as bytes and back: JSON, or bytes as they are. What JSON would change on
 * the way without a word, such as NaN, is refused instead.
 */
import type { StoredValue } from "solo"

import { maxBodyBytes } from "../Frame.ts"
import { text } from "./Text.ts"

// Taken before the service can replace them.
const { TypeError, RangeError, Uint8Array, ArrayBuffer } = globalThis
const { isView } = ArrayBuffer
const { isFinite } = Number
const { isArray } = Array
const { parse, stringify } = JSON
const { toString } = Object.prototype
const { apply, getPrototypeOf } = Reflect
const { slice } = Uint8Array.prototype
const typedArray = getPrototypeOf(Uint8Array.prototype) as Uint8Array
const kindOf = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)!.get!

const refuse = (what: string): never => {
  throw new TypeError(`${what} cannot be stored: a value is JSON, or a Uint8Array`)
}

/** What JSON would leave out or turn into something else. A member that is `undefined` is no member. */
function keep(this: unknown, _key: string, value: unknown): unknown {
  if (typeof value === "number" && !isFinite(value)) refuse(`${value}`)
  if (typeof value === "bigint") refuse("a bigint")
  if (typeof value === "function") refuse("a function")
  if (typeof value === "symbol") refuse("a symbol")
  if (value === undefined && isArray(this)) refuse("undefined in an array")
  if (typeof value === "object" && value !== null && !isArray(value)) keepObject(value)
  return value
}

/** A map, a promise or a buffer would be an empty object. What has a `toJSON` is text by now. */
const keepObject = (value: object): void => {
  if (isView(value)) refuse("bytes inside of a value")
  const kind = apply(toString, value, []) as string
  if (kind !== "[object Object]") refuse(kind)
}

/** Spells a value; throws a TypeError where it cannot be stored, or whatever its own code throws. */
export const encodeValue = (value: unknown): StoredValue => {
  if (isView(value)) {
    // The getter looks at what the object is, not at what it says it is.
    if (apply(kindOf, value, []) !== "Uint8Array") refuse("a view that is no Uint8Array")
    return { format: "bytes", bytes: apply(slice, value, []) as Uint8Array }
  }
  const json = stringify(value, keep) as string | undefined
  if (json === undefined) return refuse("undefined")
  if (json.length > maxBodyBytes) throw new RangeError("a value is too large")
  return { format: "json", bytes: text.encode(json) }
}

/** The value again: a new one each time. */
export const decodeValue = ({ format, bytes }: StoredValue): unknown =>
  format === "bytes" ? bytes : parse(text.decode(bytes))
