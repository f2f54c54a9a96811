/**
 * What is wrong with a piece of configuration, as lines a person can act on: where, what was
 * found, what was expected. It never repeats a text it was given, which could be a secret.
 */
import * as Predicate from "effect/Predicate"
import * as SchemaIssue from "effect/SchemaIssue"

/** One thing wrong. */
export interface Mistake {
  /** Where, such as `limits.heapMb` or `plugins[0]`; empty for the whole value. */
  readonly path: string
  /** What is wrong, such as `found "x", expected a string`. */
  readonly problem: string
}

const formatter = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    switch (issue._tag) {
      case "UnexpectedKey":
        return "is not a known key"
      case "MissingKey":
        return "is missing"
      default:
        return SchemaIssue.defaultLeafHook(issue)
    }
  },
})

const step = (path: string, key: PropertyKey): string =>
  typeof key === "number" ? `${path}[${key}]` : path === "" ? String(key) : `${path}.${String(key)}`

/** A value for people: numbers and booleans as they are, anything else by its kind alone. */
export const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return "nothing"
  if (Array.isArray(value)) return "a list"
  if (Predicate.isString(value)) return value === "" ? "an empty string" : "a string"
  if (Predicate.isNumber(value) || Predicate.isBoolean(value)) return String(value)
  return Predicate.isFunction(value) ? "a function" : "an object"
}

const valueAt = (input: unknown, path: ReadonlyArray<PropertyKey>): unknown =>
  path.reduce<unknown>(
    (value, key) =>
      Predicate.isObjectOrArray(value) ? (value as Record<PropertyKey, unknown>)[key] : undefined,
    input,
  )

const problemOf = (message: string, found: unknown): string =>
  message.startsWith("Expected ")
    ? `found ${kindOf(found)}, expected ${message.slice("Expected ".length)}`
    : message

/** Every mistake that `issue` found in `input`, in order. */
export const mistakesOf = (issue: SchemaIssue.Issue, input: unknown): ReadonlyArray<Mistake> =>
  formatter(issue).issues.map(({ message, path }) => {
    const keys = (path ?? []).map((key) =>
      Predicate.isObject(key) ? key["key"] : key,
    ) as Array<PropertyKey>
    return {
      path: keys.reduce<string>(step, ""),
      problem: problemOf(message, valueAt(input, keys)),
    }
  })

const distance = (left: string, right: string): number => {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= right.length; j++) {
      const replaced = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[right.length]!
}

/** The known name that `name` was most likely meant to be, if one is near. Case does not count. */
const nearest = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const wanted = name.toLowerCase().slice(0, 64)
  let best: string | undefined
  let least = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const steps = distance(wanted, candidate.toLowerCase())
    if (steps < least) {
      least = steps
      best = candidate
    }
  }
  return best
}

/** ` (did you mean X?)`, or nothing when no known name is near. */
export const suggestion = (name: string, known: ReadonlyArray<string>): string => {
  const near = nearest(name, known)
  return near === undefined ? "" : ` (did you mean ${near}?)`
}
