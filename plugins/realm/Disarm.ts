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
  for (const { prototype } of [Promise, Map, Set, RegExp]) Object.freeze(prototype)
  // Whoever could set `prepareStackTrace` here would see the call sites of this realm.
  for (const type of [Error, TypeError, RangeError, SyntaxError, EvalError, ReferenceError])
    Object.freeze(type)
  // Not frozen: Node itself assigns to inherited names, such as `name` of an error.
  for (const { prototype } of [Object, Array, Error]) Object.preventExtensions(prototype)
}
