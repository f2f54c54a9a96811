/**
 * https://fetch.spec.whatwg.org/#headers-class without guards: a service owns its headers.
 */
import { maxHeaderLength, maxHeaders } from "../Frame.ts"

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// oxlint-disable-next-line no-control-regex -- the control characters are what is refused
const refusedValue = /[\0\r\n]|[^\0-\u00ff]/

const nameOf = (name: unknown): string => {
  const text = String(name)
  if (!token.test(text)) throw new TypeError(`invalid header name: ${JSON.stringify(text)}`)
  return text.toLowerCase()
}

const valueOf = (value: unknown): string => {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "")
  if (refusedValue.test(text)) throw new TypeError("invalid header value")
  return text
}

export type HeadersInit =
  | Headers
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string>>

/** The headers as they were appended, whatever the service did to the class. */
export let listOf: (headers: Headers) => ReadonlyArray<readonly [string, string]>

/** https://fetch.spec.whatwg.org/#headers-class */
export class Headers {
  #list: Array<[name: string, value: string]> = []

  constructor(init?: HeadersInit | null) {
    if (init === undefined || init === null) return
    if (typeof init !== "object") throw new TypeError("headers are made from pairs or an object")
    const pairs: Iterable<Iterable<unknown>> =
      Symbol.iterator in init
        ? (init as Iterable<Iterable<unknown>>)
        : Reflect.ownKeys(init)
            .filter((key) => Object.getOwnPropertyDescriptor(init, key)?.enumerable)
            .map((key) => [key, (init as Record<PropertyKey, unknown>)[key]])
    for (const pair of pairs) {
      const [name, value, ...rest] = [...pair]
      if (value === undefined || rest.length > 0) throw new TypeError("a header is a pair")
      this.append(name as string, value as string)
    }
  }
  append(name: string, value: string): void {
    const pair: [string, string] = [nameOf(name), valueOf(value)]
    let length = pair[0].length + pair[1].length
    for (const [known, text] of this.#list) length += known.length + text.length
    if (this.#list.length >= maxHeaders || length > maxHeaderLength)
      throw new RangeError(`at most ${maxHeaders} headers with ${maxHeaderLength} characters`)
    this.#list.push(pair)
  }
  delete(name: string): void {
    const key = nameOf(name)
    this.#list = this.#list.filter(([known]) => known !== key)
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
  *entries(): Generator<[string, string]> {
    const names = [...new Set(this.#list.map(([name]) => name))].sort()
    for (const name of names)
      if (name === "set-cookie")
        for (const value of this.getSetCookie()) yield [name, value] as [string, string]
      else if (this.has(name)) yield [name, this.get(name)!]
  }
  *keys(): Generator<string> {
    for (const [name] of this.entries()) yield name
  }
  *values(): Generator<string> {
    for (const [, value] of this.entries()) yield value
  }
  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries()
  }
  get [Symbol.toStringTag](): string {
    return "Headers"
  }
  static {
    listOf = (headers) => headers.#list
  }
}
