/**
 * `crypto`: random values from the host, digests from @noble/hashes. Keys are not offered.
 */
import { sha1 } from "@noble/hashes/legacy.js"
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js"

import { domException } from "./Events.ts"
import { random } from "./Host.ts"

const digests: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  "SHA-1": sha1,
  "SHA-256": sha256,
  "SHA-384": sha384,
  "SHA-512": sha512,
}

const quota = 65_536

const integers = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
]

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

/** The realm's `crypto`. */
export const crypto = {
  getRandomValues<T extends ArrayBufferView>(array: T): T {
    if (!integers.some((type) => array instanceof type))
      throw domException("getRandomValues fills an array of integers", "TypeMismatchError")
    if (array.byteLength > quota)
      throw domException(`at most ${quota} bytes at once`, "QuotaExceededError")
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(random(array.byteLength))
    return array
  },
  randomUUID(): string {
    const bytes = random(16).slice()
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    const text = hex(bytes)
    return [
      text.slice(0, 8),
      text.slice(8, 12),
      text.slice(12, 16),
      text.slice(16, 20),
      text.slice(20),
    ].join("-")
  },
  subtle: {
    async digest(
      algorithm: string | { readonly name: string },
      data: ArrayBuffer | ArrayBufferView,
    ): Promise<ArrayBuffer> {
      const name = String(typeof algorithm === "object" ? algorithm.name : algorithm).toUpperCase()
      if (!Object.hasOwn(digests, name))
        throw domException(`no such digest: ${name}`, "NotSupportedError")
      if (!ArrayBuffer.isView(data) && !(data instanceof ArrayBuffer))
        throw new TypeError("digest takes bytes")
      const bytes = ArrayBuffer.isView(data)
        ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
        : new Uint8Array(data)
      return digests[name]!(bytes).slice().buffer as ArrayBuffer
    },
  },
}
