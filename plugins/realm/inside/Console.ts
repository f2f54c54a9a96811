/**
 * `console` and `ctx.log`, and the text that values get in them: bounded in depth, width and length.
 */
import { Outbound, maxFieldsLength, maxLogLength } from "../Frame.ts"
import { send } from "./Host.ts"

const maxDepth = 4
const maxEntries = 64

const entries = (value: object, depth: number, seen: ReadonlyArray<object>): string => {
  const inner = [...seen, value]
  if (Array.isArray(value)) {
    const items = value.slice(0, maxEntries).map((item) => inspect(item, depth + 1, inner))
    return `[${items.join(", ")}${value.length > maxEntries ? ", …" : ""}]`
  }
  const keys = Object.keys(value)
  const named = keys
    .slice(0, maxEntries)
    .map((key) => `${key}: ${inspect((value as Record<string, unknown>)[key], depth + 1, inner)}`)
  const name = Object.getPrototypeOf(value)?.constructor?.name
  const prefix = typeof name === "string" && name !== "Object" ? `${name} ` : ""
  return `${prefix}{${named.join(", ")}${keys.length > maxEntries ? ", …" : ""}}`
}

const inspect = (value: unknown, depth: number, seen: ReadonlyArray<object>): string => {
  if (typeof value === "string") return depth === 0 ? value : JSON.stringify(value)
  if (typeof value === "function") return `[Function ${value.name}]`
  if (typeof value === "bigint") return `${value}n`
  if (typeof value !== "object" || value === null) return String(value)
  if (value instanceof Error) return String(value.stack ?? value)
  if (value instanceof Date)
    return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString()
  if (value instanceof Map || value instanceof Set)
    return `${value instanceof Map ? "Map" : "Set"} ${entries([...value], depth, seen)}`
  if (seen.includes(value)) return "[Circular]"
  return depth >= maxDepth ? "[…]" : entries(value, depth, seen)
}

/** The text of one value. Never throws: what else the line says is not to be lost with it. */
const show = (value: unknown): string => {
  try {
    return inspect(value, 0, [])
  } catch {
    return "[a value that cannot be shown]"
  }
}

/** The text of a log line. Never throws. */
const format = (values: ReadonlyArray<unknown>): string => {
  try {
    return values.map(show).join(" ").slice(0, maxLogLength)
  } catch {
    return "a value that cannot be shown"
  }
}

/** A log function of one level, 0 (debug) to 3 (error). */
const logger =
  (level: number) =>
  (...values: Array<unknown>): void => {
    send(Outbound.log, level, format(values))
  }

// Taken before the service can replace them.
const { stringify } = JSON
const { getPrototypeOf } = Object

/** The JSON of a plain object that is small enough; where it is none, `undefined`. Never throws. */
const fieldsOf = (value: unknown): string | undefined => {
  try {
    if (typeof value !== "object" || value === null) return undefined
    const prototype: unknown = getPrototypeOf(value)
    if (prototype !== null && prototype !== Object.prototype) return undefined
    const text: unknown = stringify(value)
    return typeof text === "string" && text[0] === "{" && text.length <= maxFieldsLength
      ? text
      : undefined
  } catch {
    return undefined
  }
}

/**
 * One function of `ctx.log`: as {@link logger}, but a plain object behind a message becomes the
 * fields of the line. One that is too large, or has no JSON, becomes part of the text.
 */
const structured =
  (level: number) =>
  (...values: Array<unknown>): void => {
    const fields = values.length > 1 ? fieldsOf(values[values.length - 1]) : undefined
    if (fields === undefined) send(Outbound.log, level, format(values))
    else send(Outbound.logFields, level, `${fields}\n${format(values.slice(0, -1))}`)
  }

/** What a service gets as `ctx.log`. */
export const log = Object.freeze({
  debug: structured(0),
  info: structured(1),
  warn: structured(2),
  error: structured(3),
})

/** The realm's `console`. */
export const console = {
  debug: logger(0),
  log: logger(1),
  info: logger(1),
  warn: logger(2),
  error: logger(3),
  trace: logger(0),
  dir: (value: unknown) => logger(1)(value),
  assert: (condition: unknown, ...values: Array<unknown>) => {
    if (!condition) logger(3)("Assertion failed:", ...values)
  },
}
