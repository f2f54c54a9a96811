/**
 * Keeps the secrets that one instance was given out of what is told of it when it fails: events,
 * its status and the answers to its callers (promise 8). It knows a value as it was given; what a
 * service made of it, and what it writes into its own log, is the service's business.
 */
import * as Effect from "effect/Effect"

import { withoutTokens } from "../../domain/Token.ts"
import {
  type Instance,
  type InstanceExit,
  NotRunning,
  type RequestError,
  ServiceThrew,
  StartFailed,
} from "./Runtime.ts"

/** Shorter values are left alone: they would be found in words that are no secret. */
const minLength = 8

/** More of a value than a reason can hold is not remembered. */
const maxLength = 4096

/** Values remembered of one instance, the newest: twice as many as a spec may name. */
const maxValues = 256

const mark = "<secret>"

/** A copy: a mere slice would keep all of a large value in memory. */
const beginning = (value: string): string =>
  value.length <= maxLength
    ? value
    : new TextDecoder().decode(new TextEncoder().encode(value.slice(0, maxLength)))

/** `text`, whose end may be where a driver cut it, without the part of `value` before that. */
const withoutCut = (text: string, value: string): string => {
  for (let length = Math.min(value.length - 1, text.length); length >= minLength; length--) {
    if (text.endsWith(value.slice(0, length))) return text.slice(0, -length) + mark
  }
  return text
}

/** The values that one instance was given. */
export class Redaction {
  readonly #values = new Set<string>()

  /** From now on `value` is not told, nor is it without the white space around it. */
  add(value: string): void {
    const trimmed = beginning(value.trim())
    if (trimmed.length < minLength) return
    this.#values.delete(trimmed)
    this.#values.add(trimmed)
    if (this.#values.size > maxValues) this.#values.delete(this.#values.values().next().value!)
  }

  /** The text with `<secret>` in place of each value, and no token. */
  text(text: string): string {
    let result = withoutTokens(text)
    // The longest first: it may hold another one.
    for (const value of [...this.#values].sort((left, right) => right.length - left.length)) {
      result = withoutCut(result.replaceAll(value, mark), value)
    }
    return result
  }

  /** Why an instance did not start. */
  startFailed({ message }: StartFailed): StartFailed {
    return new StartFailed({ message: this.text(message) })
  }

  readonly #failed = (error: RequestError): RequestError => {
    switch (error._tag) {
      case "ServiceThrew":
        return new ServiceThrew({ message: this.text(error.message) })
      case "NotRunning":
        return new NotRunning({
          message: this.text(error.message),
          ...(error.undelivered === undefined ? {} : { undelivered: error.undelivered }),
        })
      case "Overloaded":
      case "HeadTooLarge":
        return error
    }
  }

  readonly #ended = (exit: InstanceExit): InstanceExit =>
    exit._tag === "Crashed" ? { ...exit, reason: this.text(exit.reason) } : exit

  /** The instance, telling no value when it fails. */
  instance(given: Instance): Instance {
    return {
      request: (request) => Effect.mapError(given.request(request), this.#failed),
      scheduled: (event) => Effect.mapError(given.scheduled(event), this.#failed),
      stop: given.stop,
      kill: given.kill,
      stats: given.stats,
      exit: Effect.map(given.exit, this.#ended),
    }
  }
}
