/**
 * The pipes between the kernel and a box: frames of the realm's protocol and a few of the driver's
 * own, each behind its length. It owns cutting a stream of bytes into frames, and their bounds.
 */
import { Buffer } from "node:buffer"

import { decode, encode, maxBodyBytes } from "../realm/Frame.ts"

/** The driver's own frames; the realm's end at 63. */
export const Control = {
  /** To the box; text: JSON of a `Boot`. */
  boot: 192,
  /** From the box: it is up. Text: JSON of its seal. */
  booted: 193,
  /** To the box; id: length of the identity in bytes; text of it, then the code. */
  assign: 194,
  /** To the box; id: any number, to come back in a `pong`. */
  ping: 195,
  /** From the box; id: that number; text: JSON `[memoryBytes, cpuMs]`. */
  pong: 196,
  /** From the box; id: bytes still to come; a piece of the code cache it was asked for. */
  cache: 197,
} as const

/** Whether a frame is the driver's own and not the realm's. */
export const isControl = (frame: Uint8Array): boolean => frame[0]! >= Control.boot

const lengthBytes = 4

/** Largest frame out of a box. What goes in is the kernel's own and not bounded here. */
export const maxFrameBytes = maxBodyBytes + 16

/** Largest frame into a box: a service's code. */
export const maxInboundBytes = 32 * 1024 * 1024

/** A frame behind its length. */
export const pack = (frame: Uint8Array): Buffer => {
  const bytes = Buffer.allocUnsafe(lengthBytes + frame.length)
  bytes.writeUInt32BE(frame.length, 0)
  bytes.set(frame, lengthBytes)
  return bytes
}

/** Spells a frame that carries a text and more bytes behind it. */
export const encodePair = (type: number, first: string, second: Uint8Array): Uint8Array => {
  const head = Buffer.from(first)
  return encode(type, head.length, Buffer.concat([head, second]))
}

/** Reads what `encodePair` spelled. */
export const decodePair = (frame: Uint8Array): readonly [first: string, second: Buffer] => {
  const id = new DataView(frame.buffer, frame.byteOffset).getUint32(1)
  const body = Buffer.from(frame.buffer, frame.byteOffset + 5, frame.length - 5)
  return [body.toString("utf8", 0, id), body.subarray(id)]
}

/** The id and text of a frame that came out of a box, if it is one. */
export const readControl = (frame: Uint8Array) => {
  const decoded = decode(frame)
  if (decoded === undefined) return undefined
  const { type, id, body } = decoded
  return { type, id, body, text: Buffer.from(body).toString() }
}

/** Cuts a stream of bytes into frames. */
export class Cutter {
  readonly #maxBytes: number
  readonly #take: (frame: Uint8Array) => void
  #parts: Array<Uint8Array> = []
  #held = 0

  constructor(maxBytes: number, take: (frame: Uint8Array) => void) {
    this.#maxBytes = maxBytes
    this.#take = take
  }

  /** Takes the next bytes; false when a frame is too long or empty, and nothing can follow. */
  push(bytes: Uint8Array): boolean {
    this.#parts.push(bytes)
    this.#held += bytes.length
    if (this.#held < lengthBytes) return true
    let all = this.#parts.length === 1 ? this.#parts[0]! : undefined
    let needed = this.#needed(all ?? this.#parts)
    // A long frame comes in many parts: they are joined once, when it is whole.
    if (needed !== undefined && this.#held < needed) return true
    all ??= Buffer.concat(this.#parts)
    this.#parts = []
    this.#held = 0
    let offset = 0
    for (;;) {
      const rest = all.subarray(offset)
      needed = rest.length < lengthBytes ? lengthBytes + 1 : this.#needed(rest)
      if (needed === undefined) return false
      if (rest.length < needed) break
      this.#take(rest.subarray(lengthBytes, needed))
      offset += needed
    }
    const rest = all.subarray(offset)
    this.#parts = rest.length === 0 ? [] : [rest]
    this.#held = rest.length
    return true
  }

  #needed(from: Uint8Array | ReadonlyArray<Uint8Array>): number | undefined {
    const head =
      from instanceof Uint8Array
        ? from
        : from[0]!.length >= lengthBytes
          ? from[0]!
          : Buffer.concat(from)
    const length = new DataView(head.buffer, head.byteOffset).getUint32(0)
    return length === 0 || length > this.#maxBytes ? undefined : lengthBytes + length
  }
}
