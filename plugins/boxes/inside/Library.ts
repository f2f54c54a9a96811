/**
 * The C library of a box, through `node:ffi`: system calls, and random bytes. It is opened before
 * the box is sealed, and nobody but the runner ever holds it.
 */
import { Buffer } from "node:buffer"
import process from "node:process"

/** A system call by number; padded with zeros. Answers what the library's `syscall` does. */
type Call = (number: number, ...values: ReadonlyArray<number | bigint>) => number

/** What a box uses of the library. */
export interface Library {
  readonly call: Call
  /** Where bytes are, for as long as somebody holds them. */
  readonly pointerTo: (bytes: Buffer) => bigint
  /** Fills `bytes` with random ones from the system. Throws where it has none. */
  readonly fillRandom: (bytes: Uint8Array) => void
}

/** Random bytes are had in pieces of this many at most. */
const pieceBytes = 64 * 1024

const openLibrary = (): Library => {
  // Not by `import`, which would fail where Node has no such module; and not by `require`, whose
  // own module takes a tenth of a box's start to load.
  const ffi = process.getBuiltinModule("node:ffi")
  const library = new ffi.DynamicLibrary(null)
  const long = "int64"
  const syscall = library.getFunction("syscall", {
    return: long,
    arguments: [long, long, long, long, long, long, long],
  }) as (...values: ReadonlyArray<bigint>) => bigint
  const getrandom = library.getFunction("getrandom", {
    return: long,
    arguments: [long, long, "uint32"],
  }) as (pointer: bigint, length: bigint, flags: number) => bigint
  const piece = Buffer.alloc(pieceBytes)
  const pointer = ffi.getRawPointer(piece)
  return {
    call: (...values) => {
      const padded = [...values, 0, 0, 0, 0, 0, 0].slice(0, 7)
      return Number(syscall(...padded.map(BigInt)))
    },
    pointerTo: (bytes) => ffi.getRawPointer(bytes),
    fillRandom: (bytes) => {
      for (let at = 0; at < bytes.length;) {
        const got = Number(getrandom(pointer, BigInt(Math.min(pieceBytes, bytes.length - at)), 0))
        if (got <= 0) throw new Error("the system has no random bytes")
        bytes.set(piece.subarray(0, got), at)
        piece.fill(0, 0, got)
        at += got
      }
    },
  }
}

/** The library, or `undefined` where there is none, or where the process may not have it. */
export const tryLibrary = (): Library | undefined => {
  try {
    return openLibrary()
  } catch {
    return undefined
  }
}
