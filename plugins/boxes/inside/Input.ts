/**
 * What a box hears: the bytes on descriptor 0, as soon as they are there. Node's own stream for
 * them would do, and does where libuv cannot be had; but V8 compiles all of Node's sockets for it,
 * which takes a fifth of a box's start.
 */
import { Buffer } from "node:buffer"
import { readSync } from "node:fs"

import type { Library } from "./Library.ts"

const { process, setImmediate } = globalThis

/** How much is read in one turn, in bytes. Then promises go on, and others have their turn. */
const pieceBytes = 64 * 1024

/** Who listens. */
export interface Ear {
  /** The next bytes, which are the ear's to keep. */
  readonly bytes: (bytes: Buffer) => void
  /** Nothing follows. */
  readonly end: () => void
  /** Called in every turn after `bytes`, when the promises that they settled have gone on. */
  readonly after: () => void
}

const piece = Buffer.allocUnsafe(pieceBytes)

/** How much there was; -1 for nothing yet, 0 for nothing any more. */
const readPiece = (): number => {
  try {
    return readSync(0, piece, 0, pieceBytes, null)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EAGAIN" ? -1 : 0
  }
}

/** Listens for as long as the process lives. */
export const listen = (library: Library | undefined, ear: Ear): void => {
  const { after } = ear
  const read = () => {
    const length = readPiece()
    if (length === 0) ear.end()
    else if (length > 0) ear.bytes(Buffer.from(piece.subarray(0, length)))
  }
  const tell = () => {
    setImmediate(read)
    setImmediate(after)
  }
  if (library?.whenReadable(0, tell) === true) return
  const { stdin } = process
  stdin.on("data", (bytes: Buffer) => {
    ear.bytes(bytes)
    setImmediate(after)
  })
  for (const event of ["end", "close", "error"]) stdin.on(event, ear.end)
}
