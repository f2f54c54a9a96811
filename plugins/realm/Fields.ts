/**
 * What a line of a service's log says beside its message, as the kernel reads it off the wire: any
 * JSON object within bounds, and nothing else. A line whose fields are none keeps its text.
 */
import type { ServiceLogLine } from "solo"

import { maxFieldsLength } from "./Frame.ts"

/** How deep fields may nest: what reads them later recurs. */
const maxDepth = 16

interface Line {
  readonly message: string
  readonly fields?: NonNullable<ServiceLogLine["fields"]>
}

const isShallow = (value: unknown, depth: number): boolean =>
  typeof value !== "object" ||
  value === null ||
  (depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1)))

/** Takes the text of a frame apart: a JSON object, a line break, the message. */
export const lineOf = (text: string): Line => {
  const end = text.indexOf("\n")
  if (end < 0 || end > maxFieldsLength) return { message: text }
  const message = text.slice(end + 1)
  try {
    const fields: unknown = JSON.parse(text.slice(0, end))
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return { message }
    return isShallow(fields, maxDepth)
      ? { message, fields: fields as Readonly<Record<string, unknown>> }
      : { message }
  } catch {
    return { message: text }
  }
}
