/**
 * `Proxy` as services have it: what a trap is called with is always of their own realm. V8 makes the
 * list of arguments of a proxy that is called in the realm of whoever calls it, and Node does call
 * and read what services give it, such as a promise that nobody handled (docs/decisions/0025).
 */
const OwnProxy = Proxy
const { apply, defineProperty } = Reflect
const OwnTypeError = TypeError

/** Where a trap gets its list of arguments. */
const listAt: Readonly<Record<PropertyKey, number | undefined>> = {
  __proto__: null as never,
  apply: 2,
  construct: 1,
}

/** Only what can be called is ever given a list. */
const guarded = (target: object, handler: ProxyHandler<object>): ProxyHandler<object> =>
  typeof target !== "function"
    ? handler
    : // Not the handler itself: of one that is frozen no other trap could be shown.
      new OwnProxy(
        {},
        {
          get: (_, name) => {
            const trap: unknown = handler[name as keyof ProxyHandler<object>]
            if (typeof trap !== "function") return trap
            const at = listAt[name]
            return (...values: Array<unknown>) => {
              if (at !== undefined)
                defineProperty(values, at, { value: [...(values[at] as ReadonlyArray<unknown>)] })
              return apply(trap, handler, values) as unknown
            }
          },
        },
      )

const isObject = (value: unknown): value is object =>
  (typeof value === "object" && value !== null) || typeof value === "function"

/** Takes the place of `Proxy`. */
export function SafeProxy(target: unknown, handler: unknown): object {
  if (new.target === undefined) throw new OwnTypeError("Constructor Proxy requires 'new'")
  if (!isObject(target) || !isObject(handler))
    throw new OwnTypeError("Cannot create proxy with a non-object as target or handler")
  return new OwnProxy(target, guarded(target, handler))
}

const revocable = (target: unknown, handler: unknown): object => {
  if (!isObject(target) || !isObject(handler))
    throw new OwnTypeError("Cannot create proxy with a non-object as target or handler")
  return OwnProxy.revocable(target, guarded(target, handler))
}

defineProperty(SafeProxy, "prototype", { value: undefined, writable: false })
defineProperty(SafeProxy, "revocable", { value: revocable, writable: true, configurable: true })
