/**
 * The entry of the process that starts boxes: it spawns, kills and buries them on the kernel's
 * orders, hands their pipes to the kernel, and keeps none. The kernel's own process would have to
 * be copied for every box, which holds all requests up for as long as it has memory. It ends with
 * the kernel, after all boxes: one that is coming up is not yet tied to anybody.
 */
import type { ChildProcess, ChildProcessWithoutNullStreams } from "node:child_process"
import { closeSync, readFileSync, readdirSync } from "node:fs"
import type { Socket } from "node:net"
import type { Readable, Writable } from "node:stream"

import { spawnCommand } from "./Command.ts"
import { childrenOf, innermost } from "./Figures.ts"
import { signalOnParentDeath } from "./ParentDeath.ts"
import { type Rank, setRank } from "./Rank.ts"

/** The first of the files that were handed over: behind the pipes and the channel to the kernel. */
const firstFile = 4
/** What is kept of what a box prints, such as why Node ran out of memory. */
const maxPrinted = 8192
/** How long a pipe may stay open after the process that was started is gone, in milliseconds. */
const closeTimeoutMs = 1000
/** How long bubblewrap has to end after what it held, in milliseconds. */
const burialMs = 100

/** What the kernel orders. `id` names a box, of which there is never a second. */
export type Order =
  | {
      readonly type: "spawn"
      readonly id: number
      readonly file: string
      readonly args: ReadonlyArray<string>
      readonly uid: number | undefined
      /** Files that it gets from descriptor 3 on, by their place among those handed over. */
      readonly files: ReadonlyArray<number>
      readonly rank: Rank
    }
  | { readonly type: "rank"; readonly id: number; readonly rank: Rank }
  | { readonly type: "kill"; readonly id: number }

/** How a process ended. */
export interface Departure {
  readonly code: number | null
  readonly signal: string | null
  /** The beginning of what it printed on its standard error. */
  readonly printed: string
  /** Why there never was one, or why nobody knows what became of it. */
  readonly reason?: string
}

/** What the kernel hears, in this order for every box. The first two bring a pipe along. */
export type Word =
  | { readonly type: "output"; readonly id: number; readonly pid: number }
  | { readonly type: "input"; readonly id: number }
  | { readonly type: "ended"; readonly id: number; readonly departure: Departure }

/** The flag that says that a descriptor is not passed on (`O_CLOEXEC`). */
const closesOnExec = 0o2000000

/**
 * Closes what whoever started the kernel had left open for it, and what every box would get. Node
 * sees to the low numbers only.
 */
const closeInherited = (): void => {
  if (process.platform !== "linux") return
  for (const descriptor of readdirSync("/proc/self/fd").map(Number)) {
    try {
      const info = readFileSync(`/proc/self/fdinfo/${descriptor}`, "latin1")
      const flags = Number.parseInt(/^flags:\s+(\d+)/m.exec(info)?.[1] ?? "", 8)
      if (descriptor > 2 && (flags & closesOnExec) === 0) closeSync(descriptor)
    } catch {
      // The one that the directory was read with is closed by now.
    }
  }
}

type SpawnOrder = Extract<Order, { readonly type: "spawn" }>

const boxes = new Map<number, ChildProcess>()

const say = (word: Word, pipe?: Socket): void => {
  if (process.connected) process.send!(word, pipe, {}, () => {})
}

const unborn = (error: unknown): Departure => ({
  code: null,
  signal: null,
  printed: "",
  reason: `the box could not be started: ${(error as Error).message}`,
})

const killIfThere = (pid: number): void => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended by itself.
  }
}

const isThere = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode === null && signalCode === null

/** Says how a box ended, once all it printed has been read. */
const watch = (id: number, child: ChildProcessWithoutNullStreams): void => {
  let printed = ""
  let isOpen = true
  const bury = (departure: Departure): void => {
    if (boxes.delete(id)) say({ type: "ended", id, departure })
  }
  child.stderr.on("error", () => {})
  child.stderr.on("data", (bytes: Buffer) => {
    if (printed.length < maxPrinted) printed = (printed + bytes.toString()).slice(0, maxPrinted)
    // Whoever prints more waits: to read it all would be done for nobody.
    else if (isThere(child)) child.stderr.pause()
  })
  child.stderr.on("close", () => (isOpen = false))
  child.on("exit", (code, signal) => {
    // Bubblewrap that was killed by somebody else while it set up leaves its half behind.
    killIfThere(-child.pid!)
    const end = () => bury({ code, signal, printed })
    if (!isOpen) return end()
    child.stderr.resume()
    child.stderr.on("close", end)
    setTimeout(end, closeTimeoutMs)
  })
}

const start = ({ id, rank, ...command }: SpawnOrder): void => {
  try {
    const files = command.files.map((place) => firstFile + place)
    const child = spawnCommand({ ...command, files })
    child.on("error", (error) => {
      if (child.pid === undefined) say({ type: "ended", id, departure: unborn(error) })
    })
    // Without descriptors for its pipes it has none.
    if (child.pid === undefined) return
    boxes.set(id, child)
    watch(id, child)
    const { pid, stdin, stdout } = child
    if (rank !== "usual") setRank(pid, rank)
    // In this order: until its output has arrived, what a box says is lost, because Node reads
    // pipes that it has made at once. But a box is silent until it has heard something.
    say({ type: "output", id, pid }, stdout as Readable as Socket)
    say({ type: "input", id }, stdin as Writable as Socket)
  } catch (error) {
    say({ type: "ended", id, departure: unborn(error) })
  }
}

/**
 * What is inside bubblewrap is killed first, so that bubblewrap can bury it: init, where there
 * is one that does it, has nothing to do. Then the whole group goes: bubblewrap that is killed
 * while it sets a box up leaves its half of it behind, waiting for ever.
 */
const kill = (pid: number, child: ChildProcess): void => {
  const inside = childrenOf(pid)
  for (const each of inside) killIfThere(each)
  if (inside.length === 0) killIfThere(-pid)
  else setTimeout(() => isThere(child) && killIfThere(-pid), burialMs)
}

const end = (): void => {
  for (const { pid } of boxes.values()) {
    if (pid === undefined) continue
    for (const each of [...childrenOf(pid), -pid]) killIfThere(each)
  }
  process.exit(0)
}

closeInherited()
// Stopped by somebody it would not hear that the kernel is gone, and would keep its boxes.
signalOnParentDeath("SIGCONT")
process.on("message", (order: Order) => {
  if (order.type === "spawn") return start(order)
  const child = boxes.get(order.id)
  if (child?.pid === undefined || !isThere(child)) return
  if (order.type === "kill") return kill(child.pid, child)
  for (const pid of new Set([child.pid, innermost(child.pid)])) setRank(pid, order.rank)
})
// However the kernel ended: this pipe closes. Of the channel Node says nothing while a pipe that was
// sent has not arrived.
for (const event of ["end", "close", "error"]) process.stdin.on(event, end)
process.stdin.resume()
// Whoever ends the kernel's whole group means the kernel, which ends its boxes in order.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {})
