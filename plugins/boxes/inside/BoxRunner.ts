/**
 * The entry of a box: seals the process, builds a realm, waits for a service, and carries frames
 * between the realm and the pipes. The kernel runs its bundle with `node -e`.
 *
 * Frames out are written at once and block while the kernel does not read, except the parts of a
 * response, which go out together; so a box holds no output, and what it logs before it hangs is
 * on its way.
 */
import { Buffer } from "node:buffer"
import type * as Random from "node:crypto"
import { closeSync, readSync, writeSync } from "node:fs"

import { Outbound, encode, headerBytes, maxChunkBytes } from "../../realm/Frame.ts"
import type { FillRandom } from "../../realm/HostFunctions.ts"
import { makeCodeCache, prepare, type Prepared } from "../../realm/Runner.ts"
import { Control, Cutter, decodePair, maxInboundBytes, pack } from "../Wire.ts"
import { listen } from "./Input.ts"
import { tryLibrary } from "./Library.ts"
import { seal, type SealOptions } from "./Seal.ts"

/** What a box is told before it is given a service. */
export interface Boot extends SealOptions {
  /** The descriptor of a file: the realm's bundle, which is ASCII, and V8's code cache of it. */
  readonly handout: number
  readonly bootstrapBytes: number
  readonly cacheBytes: number
  /** Whether to make V8's code cache of it, which depends on Node's flags, and send it. */
  readonly makesCache: boolean
  /**
   * The module with Node's random bytes. Its name does not stand in the runner's script, because
   * `node -e` loads it, at a quarter of a box's start, for every script in which it is a word.
   */
  readonly randomModule: string
}

// Taken before the outer realm is disarmed.
const { process, setImmediate } = globalThis
const now = process.hrtime.bigint
const { rss } = process.memoryUsage
const { cpuUsage, platform } = process
const exitByNode = process.exit
const library = tryLibrary()

const exit = (code: number): void => {
  library?.exit(code)
  exitByNode(code)
}

/** Parts of responses held back at most, in bytes. */
const maxHeld = 64 * 1024

let held: Array<Buffer> = []
let heldBytes = 0
let isFlushDue = false

const writeAll = (bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(1, bytes, at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") exit(0)
    }
  }
}

const flush = (): void => {
  isFlushDue = false
  if (held.length === 0) return
  const bytes = held.length === 1 ? held[0]! : Buffer.concat(held)
  held = []
  heldBytes = 0
  writeAll(bytes)
}

const send = (frame: Uint8Array): void => {
  const type = frame[0]
  held.push(pack(frame))
  heldBytes += frame.length
  const isPart =
    type === Outbound.responseHead ||
    type === Outbound.responseChunk ||
    type === Outbound.responseEnd
  if (!isPart || heldBytes > maxHeld) flush()
  else if (!isFlushDue) {
    isFlushDue = true
    setImmediate(flush)
  }
}

/** Memory and processor time as the box itself can tell; only for systems without `/proc`. */
const figures = (): string => {
  if (platform === "linux") return "[0,0]"
  const { user, system } = cpuUsage()
  return JSON.stringify([rss(), Math.round((user + system) / 1000)])
}

const sendCache = (cache: Uint8Array): void => {
  for (let at = 0; at < cache.length; at += maxChunkBytes) {
    const end = Math.min(cache.length, at + maxChunkBytes)
    send(encode(Control.cache, cache.length - end, cache.subarray(at, end)))
  }
}

let realm: Prepared | undefined

/** Node's own random bytes, for where the C library's cannot be had. */
const nodeRandom = (module: string): FillRandom => {
  const { randomFillSync } = process.getBuiltinModule(module) as typeof Random
  // The first time it loads what could not be loaded once the process is sealed.
  randomFillSync(new Uint8Array(8))
  return randomFillSync
}

/** The bundle and its cache. Afterwards the box has no descriptor but its pipes. */
const readHandout = ({ bootstrapBytes, cacheBytes, handout }: Boot) => {
  const bytes = Buffer.allocUnsafeSlow(bootstrapBytes + cacheBytes)
  for (let at = 0; at < bytes.length;) {
    const length = readSync(handout, bytes, at, bytes.length - at, at)
    if (length === 0) throw new RangeError("the handout is shorter than it should be")
    at += length
  }
  closeSync(handout)
  return [bytes.toString("latin1", 0, bootstrapBytes), bytes.subarray(bootstrapBytes)] as const
}

const boot = async (frame: Uint8Array): Promise<void> => {
  const order = JSON.parse(Buffer.from(frame.subarray(headerBytes)).toString()) as Boot
  const { makesCache, randomModule, ...options } = order
  const [bootstrap, cache] = readHandout(order)
  if (makesCache) sendCache(await makeCodeCache(bootstrap))
  const fillRandom = library?.fillRandom ?? nodeRandom(randomModule)
  const sealed = seal(library, options)
  const cachedData = cache.length > 0 ? cache : undefined
  realm = prepare({ bootstrap, cachedData }, send, fillRandom)
  send(encode(Control.booted, 0, Buffer.from(JSON.stringify(sealed))))
}

const take = (frame: Uint8Array): void => {
  switch (frame[0]) {
    case Control.ping: {
      const id = new DataView(frame.buffer, frame.byteOffset).getUint32(1)
      send(encode(Control.pong, id, Buffer.from(figures())))
      return
    }
    case Control.assign: {
      const [identity, code] = decodePair(frame)
      realm?.assign(code.toString(), identity)
      return
    }
    case Control.boot:
      void boot(frame)
      return
    default:
      realm?.receive(frame)
  }
}

process.env["TZ"] = "UTC"
// The first of each loads what could not be loaded once the process is sealed.
void [now(), new Date().getTimezoneOffset()]
setImmediate(() => {})
const cutter = new Cutter(maxInboundBytes, take)
listen(library, {
  bytes: (bytes) => {
    // What is sent in this turn goes out with it.
    isFlushDue = true
    if (!cutter.push(bytes)) exit(1)
  },
  after: flush,
  // Whoever started the box is gone.
  end: () => exit(0),
})
