/**
 * A second wall behind the realm: should a service ever get hold of an object of the outer realm,
 * it finds no way from there to code generation, to Node, or to traps for the runner.
 */

const prototypesOf = (value: object): ReadonlyArray<object> => {
  const found: Array<object> = []
  for (let at: object | null = value; at !== null; at = Object.getPrototypeOf(at)) found.push(at)
  return found
}

/** Globals that lead out of the thread. The runner has taken what it needs. */
const ambient = [
  "process",
  "require",
  "module",
  "exports",
  "Buffer",
  "fetch",
  "WebSocket",
  "EventSource",
  "WebAssembly",
  "SharedArrayBuffer",
  "Atomics",
  "Function",
  "eval",
  "global",
  "navigator",
  "localStorage",
  "sessionStorage",
]

/** Classes and name spaces of the language, and what Node reads and writes bytes with. */
const named = [
  "Object Array Number Boolean String Symbol BigInt Date Promise RegExp Map Set WeakMap WeakSet",
  "WeakRef FinalizationRegistry Iterator Proxy Reflect JSON Math Intl ArrayBuffer DataView",
  "Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array BigUint64Array BigInt64Array",
  "Uint8ClampedArray Float16Array Float32Array Float64Array Function Buffer",
].flatMap((names) => names.split(" "))

const errors = [
  Error,
  AggregateError,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
]

/** What no name leads to: of functions, iterators and generators. */
const hidden = (): ReadonlyArray<object> =>
  [
    () => {},
    async () => {},
    function* () {},
    async function* () {},
    (function* () {})(),
    (async function* () {})(),
    ...[[], new Map(), new Set(), ""].map((of) => of[Symbol.iterator]()),
    "".matchAll(/a/g),
    Uint8Array,
    new Uint8Array(),
  ].flatMap(prototypesOf)

/** Whatever a literal, a method or an error of the outer realm leads to. */
const intrinsics = (): ReadonlySet<object> => {
  const all = new Set<object>(hidden())
  const globals = globalThis as unknown as Readonly<Record<string, object | undefined>>
  for (const value of [...named.map((name) => globals[name]), ...errors]) {
    if (value === undefined) continue
    all.add(value)
    const { prototype } = value as { readonly prototype?: object }
    if (prototype !== undefined) all.add(prototype)
  }
  return all
}

/**
 * Lets objects have a property of their own although they inherit a frozen one of that name: to
 * write to it would fail otherwise, and Node gives errors names.
 */
const letOverride = (owner: object, name: string): void => {
  const { defineProperty } = Reflect
  const value: unknown = Reflect.getOwnPropertyDescriptor(owner, name)?.value
  if (value === undefined) return
  const setter = {
    set(this: object, own: unknown): void {
      if (this === owner) throw new TypeError(`${name} cannot be changed here`)
      const enumerable = { writable: true, enumerable: true, configurable: true }
      defineProperty(this, name, { value: own, ...enumerable })
    },
    get: () => value,
  }
  defineProperty(owner, name, { ...setter, enumerable: false, configurable: false })
}

/**
 * Takes the ways to compile code and to reach Node off the outer realm, and freezes what is left of
 * its language: the runner's own code and Node's call these methods, and whoever could replace one
 * would be handed what they work on.
 */
export const disarm = (): void => {
  const all = intrinsics()
  for (const each of all)
    if (typeof each !== "function" && prototypesOf(each).includes(Function.prototype))
      Reflect.deleteProperty(each, "constructor")
  Reflect.deleteProperty(Function.prototype, "constructor")
  for (const name of ambient) Reflect.deleteProperty(globalThis, name)
  for (const name of ["constructor", "toString", "valueOf"]) letOverride(Object.prototype, name)
  for (const { prototype } of errors)
    for (const name of ["constructor", "toString", "name", "message"]) letOverride(prototype, name)
  for (const each of all) Object.freeze(each)
}
