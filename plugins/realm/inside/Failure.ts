/**
 * Says in words what a service threw, and ends the instance when nobody caught it. Whatever was
 * thrown may be a trap: looking at it happens inside the realm, and only here.
 */
import { Outbound, maxMessageLength } from "../Frame.ts"
import { send } from "./Host.ts"

const unreadable = "something that cannot be read was thrown"

const { apply } = Reflect
const { slice } = String.prototype
const ownString = String

const cut = (text: unknown): string =>
  typeof text === "string" ? (apply(slice, text, [0, maxMessageLength]) as string) : unreadable

/** What was thrown, in one line where it is an Error. Never throws. */
export const describe = (error: unknown): string => {
  try {
    if (typeof error !== "object" || error === null) return cut(ownString(error))
    const { name, message } = error as { name?: unknown; message?: unknown }
    if (typeof message !== "string") return cut(ownString(error))
    return cut(typeof name === "string" ? `${name}: ${message}` : message)
  } catch {
    return unreadable
  }
}

/** What was thrown, with its stack where it has one. Never throws. */
export const describeStack = (error: unknown): string => {
  const line = describe(error)
  try {
    const stack = (error as { stack?: unknown } | null | undefined)?.stack
    return typeof stack === "string" && stack !== "" ? cut(stack) : line
  } catch {
    return line
  }
}

/** An error that nobody caught: the service logs it and has crashed. */
export const reportError = (error: unknown): void => {
  send(Outbound.log, 3, `uncaught ${describeStack(error)}`)
  send(Outbound.failed, 0, describe(error))
}
