/**
 * Puts the stack of an error into words, here and nowhere else: V8 has it done while the service
 * reads `stack`, near the end of the stack as well, and whatever did it outside the realm would
 * leave objects and errors of that realm behind.
 */
const { apply } = Reflect
const { toString } = Error.prototype
const home = globalThis
const OwnError = Error

/** What V8 tells of one call. */
type CallSite = object

const headOf = (error: unknown): string => {
  try {
    return apply(toString, error, [])
  } catch {
    return "an error that cannot be read"
  }
}

/**
 * The stack of `error`, which belongs to the realm of `global`. A service may have a say in that of
 * its own errors, as everywhere: `Error.prepareStackTrace`.
 */
export const describeCalls = (
  global: unknown,
  error: unknown,
  calls: ReadonlyArray<CallSite>,
): unknown => {
  // oxlint-disable-next-line typescript/unbound-method -- it is called as V8 calls it
  const { prepareStackTrace } = OwnError
  if (global === home && typeof prepareStackTrace === "function")
    return apply(prepareStackTrace, OwnError, [error, calls])
  let text = headOf(error)
  for (let at = 0; at < calls.length; at++) text += `\n    at ${calls[at]}`
  return text
}
