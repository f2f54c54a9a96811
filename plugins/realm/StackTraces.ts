/**
 * Who puts stacks of errors into words. Node does it in a function of its own realm, whoever the
 * error belongs to; called from there, a proxy gets an array of that realm, and a stack that ends
 * there throws one of its errors. Node offers no other way to replace it (docs/decisions/0025).
 */
import process from "node:process"

/** Puts the stack of `error`, which belongs to the realm of `global`, into words. */
export type DescribeCalls = (
  global: unknown,
  error: unknown,
  calls: ReadonlyArray<object>,
) => unknown

/** The flag that Node needs for this. */
export const stackTracesFlag = "--expose-internals"

interface Internals {
  readonly internalBinding: (name: "errors") => {
    readonly setPrepareStackTraceCallback: (describe: DescribeCalls) => void
  }
}

/** From now on all stacks of this thread are put into words by `describe`. */
export const describeStacksWith = (describe: DescribeCalls): void => {
  const internals = process.getBuiltinModule("internal/test/binding") as Internals | undefined
  if (internals === undefined)
    throw new Error(`this Node does not let stacks be described elsewhere (${stackTracesFlag})`)
  internals.internalBinding("errors").setPrepareStackTraceCallback(describe)
}
