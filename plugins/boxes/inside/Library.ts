/**
 * The C library and libuv of a box, through `node:ffi`: system calls, random bytes, and word of a
 * descriptor that can be read. It is opened before the box is sealed, and nobody but the runner
 * ever holds it.
 */
import { Buffer } from "node:buffer"
import type * as Ffi from "node:ffi"
import process from "node:process"

type Value = number | bigint

/** A system call by number; padded with zeros. Answers what the library's `syscall` does. */
type Call = (
  number: number,
  a?: Value,
  b?: Value,
  c?: Value,
  d?: Value,
  e?: Value,
  f?: Value,
) => number

/** What a box uses of the library. */
export interface Library {
  readonly call: Call
  /** Where bytes are, for as long as somebody holds them. */
  readonly pointerTo: (bytes: Buffer) => bigint
  /** Fills `bytes` with random ones from the system. Throws where it has none. */
  readonly fillRandom: (bytes: Uint8Array) => void
  /**
   * Calls `tell` from the event loop for as long as `descriptor` can be read or has ended. Promises
   * go on only after the loop's next immediate, and `tell` must not throw. False where it cannot.
   */
  readonly whenReadable: (descriptor: number, tell: () => void) => boolean
  /**
   * Ends the process at once. Node's own way asks the system about every standard descriptor first,
   * and aborts when it is refused an answer, as it is once the box is sealed.
   */
  readonly exit: (code: number) => void
}

const exitGroup: Readonly<Record<string, number>> = { x64: 231, arm64: 94 }

/** Random bytes are had in pieces of this many at most. */
const pieceBytes = 64 * 1024

const long = "int64"
/** Numbers of libuv's interface, which has kept them since its first version. */
const UV_POLL = 8
const UV_READABLE = 1
const UV_DISCONNECT = 4

/** What the loop uses for as long as the process lives, whoever else lets go of it. */
const pinned: Array<unknown> = []

const randomOf = (ffi: typeof Ffi, library: Ffi.DynamicLibrary): Library["fillRandom"] => {
  const getrandom = library.getFunction("getrandom", {
    return: long,
    arguments: [long, long, "uint32"],
  }) as (pointer: bigint, length: bigint, flags: number) => bigint
  const piece = Buffer.alloc(pieceBytes)
  const pointer = ffi.getRawPointer(piece)
  return (bytes) => {
    for (let at = 0; at < bytes.length;) {
      const got = Number(getrandom(pointer, BigInt(Math.min(pieceBytes, bytes.length - at)), 0))
      if (got <= 0) throw new Error("the system has no random bytes")
      bytes.set(piece.subarray(0, got), at)
      piece.fill(0, 0, got)
      at += got
    }
  }
}

const pollOf =
  (ffi: typeof Ffi, library: Ffi.DynamicLibrary): Library["whenReadable"] =>
  (descriptor, tell) => {
    const size = library.getFunction("uv_handle_size", { return: long, arguments: ["int32"] })
    const init = library.getFunction("uv_poll_init", {
      return: "int32",
      arguments: ["pointer", "pointer", "int32"],
    }) as (loop: bigint, handle: bigint, descriptor: number) => number
    const start = library.getFunction("uv_poll_start", {
      return: "int32",
      arguments: ["pointer", "int32", "pointer"],
    }) as (handle: bigint, events: number, callback: bigint) => number
    const handle = Buffer.alloc(Number(size(UV_POLL)))
    const pointer = ffi.getRawPointer(handle)
    const callback = library.registerCallback(
      { return: "void", arguments: ["pointer", "int32", "int32"] },
      tell,
    )
    pinned.push(library, handle)
    if (init(ffi.getCurrentEventLoop(), pointer, descriptor) !== 0) return false
    return start(pointer, UV_READABLE | UV_DISCONNECT, callback) === 0
  }

const openLibrary = (): Library => {
  // Not by `import`, which would fail where Node has no such module; and not by `require`, whose
  // own module takes a tenth of a box's start to load.
  const ffi = process.getBuiltinModule("node:ffi")
  const library = new ffi.DynamicLibrary(null)
  const syscall = library.getFunction("syscall", {
    return: long,
    arguments: [long, long, long, long, long, long, long],
  }) as (...values: ReadonlyArray<bigint>) => bigint
  const call: Call = (number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0) =>
    Number(
      syscall(BigInt(number), BigInt(a), BigInt(b), BigInt(c), BigInt(d), BigInt(e), BigInt(f)),
    )
  const exitNumber = process.platform === "linux" ? exitGroup[process.arch] : undefined
  return {
    call,
    pointerTo: (bytes) => ffi.getRawPointer(bytes),
    fillRandom: randomOf(ffi, library),
    whenReadable: pollOf(ffi, library),
    exit: (code) => {
      if (exitNumber !== undefined) call(exitNumber, code)
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
