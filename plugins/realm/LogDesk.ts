/**
 * The kernel's side of a service's log: reads lines off the wire, says when they came, and hands
 * them on. How many may come is the driver's business.
 */
import type { Program, ServiceLogLevel, ServiceLogLine } from "solo"

import { lineOf } from "./Fields.ts"
import { type Frame, Outbound, maxLogLength, maxMessageLength } from "./Frame.ts"

const levels: ReadonlyArray<ServiceLogLevel> = ["debug", "info", "warn", "error"]

/** The beginning of a text. It is a copy: a part of a text keeps the whole of it in memory. */
const cut = (text: string, length: number): string =>
  text.length <= length ? text : Buffer.from(text.slice(0, length), "utf16le").toString("utf16le")

/** The text of a frame, as much of it as a message may say. */
export const textOf = ({ body }: Frame): string =>
  cut(new TextDecoder().decode(body), maxMessageLength)

/** Where the lines of one instance come in, until it has ended. */
export class LogDesk {
  readonly #write: Program["log"]
  readonly #now: () => number
  #isClosed = false

  /** `now`: in milliseconds since 1970. */
  constructor(write: Program["log"], now: () => number) {
    this.#write = write
    this.#now = now
  }

  /** Takes a frame with a line. */
  accept({ body, id, type }: Frame): void {
    const text = new TextDecoder().decode(body)
    const { fields, message } =
      type === Outbound.logFields ? lineOf(text) : { fields: undefined, message: text }
    this.add(levels[id] ?? "info", message, fields)
  }

  /** Adds a line. */
  add(level: ServiceLogLevel, message: string, fields?: ServiceLogLine["fields"]): void {
    if (this.#isClosed) return
    this.#write({
      time: new Date(this.#now()).toISOString(),
      level,
      message: cut(message, maxLogLength),
      ...(fields === undefined ? {} : { fields }),
    })
  }

  /** No line comes after this. */
  close(): void {
    this.#isClosed = true
  }
}
