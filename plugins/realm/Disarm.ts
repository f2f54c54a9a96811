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

/** Prototypes that no global name leads to. */
const hiddenPrototypes = (): ReadonlyArray<object> => {
  const iterators = [[], new Map(), new Set(), ""].map((of) => of[Symbol.iterator]())
  const generators = [(function* () {})(), (async function* () {})()]
  return [...iterators, ...generators, new Uint8Array()].flatMap(prototypesOf)
}

/**
 * Names that objects are given although they inherit them, by Node too: on what is frozen they
 * could not be.
 */
const overridden = new Set<PropertyKey>(["constructor", "name", "message", "toString", "valueOf"])

/** Freezes `owner` but for what is often overridden. */
const harden = (owner: object): void => {
  for (const name of Reflect.ownKeys(owner)) {
    if (overridden.has(name)) continue
    const { value } = Reflect.getOwnPropertyDescriptor(owner, name)!
    const fixed = typeof value === "function" ? { writable: false } : {}
    Reflect.defineProperty(owner, name, { ...fixed, configurable: false })
  }
  Object.preventExtensions(owner)
}

/** Classes and name spaces of the language. */
const language = [
  "Object Array Number Boolean String Symbol BigInt Date Promise RegExp Map Set WeakMap WeakSet",
  "WeakRef FinalizationRegistry Iterator Proxy Reflect JSON Math Intl ArrayBuffer DataView",
  "Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array BigUint64Array BigInt64Array",
  "Uint8ClampedArray Float16Array Float32Array Float64Array Error AggregateError EvalError",
  "RangeError ReferenceError SyntaxError TypeError URIError",
].flatMap((names) => names.split(" "))

/** Whatever a literal, a method or an error of the outer realm leads to. */
const intrinsics = (): ReadonlySet<object> => {
  const all = new Set<object>(hiddenPrototypes())
  const globals = globalThis as unknown as Readonly<
    Record<string, { readonly prototype?: object } | undefined>
  >
  for (const name of language) {
    const value = globals[name]
    if (value === undefined) continue
    all.add(value)
    if (value.prototype !== undefined) all.add(value.prototype)
  }
  return all
}

/**
 * Takes the ways to compile code and to reach Node off the outer realm, and makes it hard to
 * change what the runner's own code relies on.
 */
export const disarm = (): void => {
  const functions: ReadonlyArray<object> = [
    () => {},
    async () => {},
    function* () {},
    async function* () {},
  ]
  for (const prototype of new Set(functions.flatMap(prototypesOf)))
    if (prototype !== Object.prototype) Reflect.deleteProperty(prototype, "constructor")
  for (const name of ambient) Reflect.deleteProperty(globalThis, name)
  // The runner's own code calls these methods: whoever could replace one would be handed what it
  // works on.
  for (const each of intrinsics()) harden(each)
}
