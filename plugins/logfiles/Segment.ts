/**
 * One file of a service's log: lines of JSON, each with its id. It owns how a line is spelled, and
 * what is believed of a file that may be torn, damaged or not ours at all.
 */
import * as fs from "node:fs/promises"

import type { KeptLine, ServiceLogLevel } from "solo"

/** Largest segment, in bytes. A line more than fits begins the next one. */
export const segmentBytes = 512 * 1024

/** What a file may have beyond that and still be read, in bytes. */
const slackBytes = 1024 * 1024

/** Ids are times in microseconds; one beyond this is damage. */
const maxId = 8e15

const levels: ReadonlySet<unknown> = new Set(["debug", "info", "warn", "error"])
const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const fileName = /^(\d{16})\.jsonl$/

/** The file that begins with the line `first`. */
export const nameOf = (first: number): string => `${String(first).padStart(16, "0")}.jsonl`

/** The id of the first line in the file `name`, or `undefined` where that is no segment. */
export const firstIdOf = (name: string): number | undefined => {
  const digits = fileName.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** The text of a line: no character of it can end the line or reach a terminal. */
export const spell = ({ fields, id, level, message, time }: KeptLine): string =>
  `${JSON.stringify({ id, time, level, message, ...(fields === undefined ? {} : { fields }) })}\n`

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The line that `text` spells, or `undefined` where it is torn or none. */
export const parse = (text: string): KeptLine | undefined => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(value)) return undefined
  const { fields, id, level, message, time } = value
  if (!Number.isSafeInteger(id) || (id as number) > maxId || typeof message !== "string")
    return undefined
  if (typeof time !== "string" || !isTime.test(time) || !levels.has(level)) return undefined
  if (fields !== undefined && !isObject(fields)) return undefined
  const line = { id: id as number, time, level: level as ServiceLogLevel, message }
  return fields === undefined ? line : { ...line, fields }
}

/** The file's lines as they stand there, newest last; none where it is not one of ours. */
export const readTexts = async (path: string): Promise<ReadonlyArray<string>> => {
  const handle = await fs.open(path, "r")
  try {
    const { size } = await handle.stat()
    if (size > segmentBytes + slackBytes) return []
    return (await handle.readFile("utf8")).split("\n").filter((text) => text !== "")
  } finally {
    await handle.close()
  }
}
