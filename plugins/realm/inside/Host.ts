/**
 * What the realm gets from outside it: five functions that take and return primitives and never
 * throw, and what it gives back. The functions are the realm's only references to another realm,
 * so they are called from here alone, directly, and are never passed on.
 *
 * The names are parameters of the function that the bundle of this folder is wrapped in.
 */
declare const hostSend: (type: number, id: number, text: string) => number
declare const hostSendBytes: (type: number, id: number, length: number) => boolean
declare const hostWake: (delayMs: number) => void
declare const hostNow: () => number
declare const hostRandom: (length: number) => boolean

const windowBytes = 128 * 1024

/** Bytes on their way in and out: the runner has views of its own on the same memory. */
export const inbound = new Uint8Array(windowBytes)
export const outbound = new Uint8Array(windowBytes)

const { slice, subarray, set } = Uint8Array.prototype
const { apply } = Reflect

/** Sends a frame with a text; returns its length in bytes. */
export const send = (type: number, id: number, text: string): number => {
  try {
    return hostSend(type, id, text)
  } catch {
    return 0
  }
}

/** Sends a frame with bytes, at most 64 KiB of a response; whether it was sent. */
export const sendBytes = (type: number, id: number, bytes: Uint8Array): boolean => {
  try {
    apply(set, outbound, [bytes])
    return hostSendBytes(type, id, bytes.length)
  } catch {
    return false
  }
}

/** Copies the first `length` inbound bytes. */
export const takeInbound = (length: number): Uint8Array<ArrayBuffer> =>
  apply(slice, inbound, [0, length]) as Uint8Array<ArrayBuffer>

/** Asks for a call of `tick` after `delayMs`. */
export const wake = (delayMs: number): void => {
  try {
    hostWake(delayMs)
  } catch {}
}

/** Milliseconds since the instance started. */
export const now = (): number => {
  try {
    return hostNow()
  } catch {
    return 0
  }
}

const filled = (length: number): boolean => {
  try {
    return hostRandom(length)
  } catch {
    return false
  }
}

/** Fresh random bytes, at most 64 KiB, readable until the next call into the host. */
export const random = (length: number): Uint8Array => {
  if (!filled(length)) throw new Error("no random bytes could be had")
  return apply(subarray, outbound, [0, length]) as Uint8Array
}
