/**
 * https://fetch.spec.whatwg.org/#headers-class without guards: a service owns its headers.
 */
import { maxHeaderLength, maxHeaders } from "../Frame.ts"

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// oxlint-disable-next-line no-control-regex -- the control characters are what is refused
const refusedValue = /[\0\r\n]/
// oxlint-disable-next-line no-control-regex -- everything a byte can be
const beyondBytes = /[^\0-\u00ff]/

/** https://webidl.spec.whatwg.org/#es-ByteString */
const byteString = (value: unknown): string => {
  if (typeof value === "symbol") throw new TypeError("a symbol is no name or value of a header")
  const text = String(value)
  if (beyondBytes.test(text)) throw new TypeError("invalid header: it has characters over U+00FF")
  return text
}

const nameOf = (name: unknown): string => {
  const text = byteString(name)
  if (!token.test(text)) throw new TypeError(`invalid header name: ${JSON.stringify(text)}`)
  return text.toLowerCase()
}

const valueOf = (value: unknown): string => {
  const text = byteString(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "")
  if (refusedValue.test(text)) throw new TypeError("invalid header value")
  return text
}

/** The pairs of a record, read in the order that the standard says. */
const pairsOf = (record: object): ReadonlyArray<readonly [string, string]> => {
  const pairs: Array<readonly [string, string]> = []
  for (const key of Reflect.ownKeys(record)) {
    if (Reflect.getOwnPropertyDescriptor(record, key)?.enumerable !== true) continue
    const name = byteString(key)
    pairs.push([name, byteString((record as Record<PropertyKey, unknown>)[key])])
  }
  return pairs
}

export type HeadersInit =
  | Headers
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string>>

/** The headers as they were appended, whatever the service did to the class. */
export let listOf: (headers: Headers) => ReadonlyArray<readonly [string, string]>

const sortAndCombine = (
  list: ReadonlyArray<readonly [name: string, value: string]>,
): ReadonlyArray<readonly [name: string, value: string]> => {
  const values = new Map<string, Array<string>>()
  for (const [name, value] of list) {
    const known = values.get(name)
    if (known === undefined) values.set(name, [value])
    else known.push(value)
  }
  return [...values.keys()].sort().flatMap((name) => {
    const all = values.get(name)!
    return name === "set-cookie"
      ? all.map((value) => [name, value] as const)
      : [[name, all.join(", ")] as const]
  })
}

/** https://fetch.spec.whatwg.org/#concept-header-list-sort-and-combine */
let sorted: (headers: Headers) => ReadonlyArray<readonly [name: string, value: string]>

/** https://fetch.spec.whatwg.org/#headers-class */
export class Headers {
  #list: Array<[name: string, value: string]> = []
  /** The list as it is shown, until it changes: an iterator asks for it at each of its steps. */
  #shown: ReadonlyArray<readonly [name: string, value: string]> | undefined

  constructor(init?: HeadersInit) {
    if (init === undefined) return
    if ((typeof init !== "object" && typeof init !== "function") || init === null)
      throw new TypeError("headers are made from pairs or an object")
    const iterate = (init as { [Symbol.iterator]?: unknown })[Symbol.iterator]
    if (iterate === undefined || iterate === null) {
      for (const [name, value] of pairsOf(init)) this.append(name, value)
      return
    }
    if (typeof iterate !== "function") throw new TypeError("headers are made from pairs")
    const iterable = { [Symbol.iterator]: () => Reflect.apply(iterate, init, []) }
    for (const pair of iterable as Iterable<Iterable<unknown>>) {
      const both = [...pair]
      if (both.length !== 2) throw new TypeError("a header is a pair")
      this.append(both[0] as string, both[1] as string)
    }
  }
  append(name: string, value: string): void {
    const pair: [string, string] = [nameOf(name), valueOf(value)]
    let length = pair[0].length + pair[1].length
    for (const [known, text] of this.#list) length += known.length + text.length
    if (this.#list.length >= maxHeaders || length > maxHeaderLength)
      throw new RangeError(`at most ${maxHeaders} headers with ${maxHeaderLength} characters`)
    this.#list.push(pair)
    this.#shown = undefined
  }
  delete(name: string): void {
    const key = nameOf(name)
    this.#list = this.#list.filter(([known]) => known !== key)
    this.#shown = undefined
  }
  get(name: string): string | null {
    const key = nameOf(name)
    const values = this.#list.filter(([known]) => known === key).map(([, value]) => value)
    return values.length === 0 ? null : values.join(", ")
  }
  getSetCookie(): Array<string> {
    return this.#list.filter(([known]) => known === "set-cookie").map(([, value]) => value)
  }
  has(name: string): boolean {
    const key = nameOf(name)
    return this.#list.some(([known]) => known === key)
  }
  set(name: string, value: string): void {
    const text = valueOf(value)
    this.delete(name)
    this.append(name, text)
  }
  forEach(visit: (value: string, name: string, headers: Headers) => void, self?: unknown): void {
    for (const [name, value] of this) visit.call(self, value, name, this)
  }
  entries(): IterableIterator<[string, string]> {
    return new HeadersIterator(this, ([name, value]) => [name, value]) as never
  }
  keys(): IterableIterator<string> {
    return new HeadersIterator(this, ([name]) => name) as never
  }
  values(): IterableIterator<string> {
    return new HeadersIterator(this, ([, value]) => value) as never
  }
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries()
  }
  get [Symbol.toStringTag](): string {
    return "Headers"
  }
  static {
    listOf = (headers) => headers.#list
    sorted = (headers) => (headers.#shown ??= sortAndCombine(headers.#list))
  }
}

/** Shows what the headers are at each step: https://webidl.spec.whatwg.org/#es-iterator */
class HeadersIterator {
  readonly #headers: Headers
  readonly #pick: (pair: readonly [string, string]) => unknown
  #index = 0

  constructor(headers: Headers, pick: (pair: readonly [string, string]) => unknown) {
    this.#headers = headers
    this.#pick = pick
  }
  next(): { readonly done: boolean; readonly value: unknown } {
    const pair = sorted(this.#headers)[this.#index++]
    return pair === undefined
      ? { done: true, value: undefined }
      : { done: false, value: this.#pick(pair) }
  }
}
Object.setPrototypeOf(
  HeadersIterator.prototype,
  Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object,
)
Object.defineProperty(HeadersIterator.prototype, "next", { enumerable: true })
Object.defineProperty(HeadersIterator.prototype, Symbol.toStringTag, { value: "Headers Iterator" })
Reflect.deleteProperty(HeadersIterator.prototype, "constructor")
