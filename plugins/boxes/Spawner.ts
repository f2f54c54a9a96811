/**
 * The kernel's side of the process that starts boxes: orders go there, pipes and news of ends come
 * back. Should that process ever end, all its boxes are gone with it, and the next order starts
 * another.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import type { Socket } from "node:net"

import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import { bundle } from "../realm/Assets.ts"
import type { Command } from "./Command.ts"
import type { Rank } from "./Rank.ts"
import type { Departure, Order, Word } from "./SpawnerProcess.ts"

/** How long the process may take to end when it is told to, in milliseconds. */
const endTimeoutMs = 2000
/** What is kept of what the process prints, should it fail. */
const maxPrinted = 2048

/** Small: it holds nothing but a list of its boxes. */
const flags = ["--no-warnings", "--max-old-space-size=64", "--v8-pool-size=1"]

/** Who is told of a box. */
export interface Parent {
  /** It is there. A pipe is missing if it has ended since. */
  readonly started: (pid: number, output: Socket | undefined) => void
  /** It can be spoken to. */
  readonly input: (input: Socket) => void
  /** The last that is heard of it. */
  readonly ended: (departure: Departure) => void
}

/** What can be done to a box; without effect once it has ended. */
export interface Child {
  readonly kill: () => void
  readonly rank: (rank: Rank) => void
}

const killGroup = (pid: number): void => {
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It has ended by itself.
  }
}

interface Known {
  readonly parent: Parent
  pid: number | undefined
}

/** Starts boxes in another process. */
export class Spawner {
  readonly #files: ReadonlyArray<number>
  readonly #boxes = new Map<number, Known>()
  readonly #script = bundle("boxes/SpawnerProcess.cjs")
  #child: ChildProcess | undefined
  #ids = 0

  /** `files`: descriptors of all files that commands may name. They must stay open. */
  constructor(files: ReadonlyArray<number>) {
    this.#files = files
    this.#child = this.#begin()
  }

  #begin(): ChildProcess {
    const child = spawn(process.execPath, [...flags, "-e", this.#script], {
      cwd: "/",
      env: {},
      // Out of reach of a terminal's Ctrl-C.
      detached: true,
      // It ends when its input does.
      stdio: ["pipe", "ignore", "pipe", "ipc", ...this.#files],
    })
    let printed = ""
    // Without descriptors for them, or processes, it has no pipes.
    child.stdin?.on("error", () => {})
    child.stderr?.on("data", (bytes: Buffer) => {
      printed = (printed + bytes.toString()).slice(-maxPrinted)
    })
    const lost = (why: string) => {
      if (this.#child !== child) return
      this.#child = undefined
      const reason = `the process that starts boxes ${why}`
      const boxes = [...this.#boxes.values()]
      this.#boxes.clear()
      for (const { parent, pid } of boxes) {
        if (pid !== undefined) killGroup(pid)
        parent.ended({ code: null, signal: null, printed: "", reason })
      }
    }
    child.on("message", (word: Word, pipe) => this.#hear(word, pipe as Socket | undefined))
    child.on("error", (error) => lost(`failed: ${error.message}`))
    child.on("exit", (code, signal) => lost(`has ended with ${signal ?? code}: ${printed.trim()}`))
    return child
  }

  #hear(word: Word, pipe: Socket | undefined): void {
    const known = this.#boxes.get(word.id)
    pipe?.on("error", () => {})
    if (known === undefined) {
      pipe?.destroy()
      // Its spawner has ended in between: nobody else knows of it.
      if (word.type === "output") killGroup(word.pid)
      return
    }
    if (word.type === "output") {
      known.pid = word.pid
      known.parent.started(word.pid, pipe)
    } else if (word.type === "input") {
      if (pipe !== undefined) known.parent.input(pipe)
    } else {
      this.#boxes.delete(word.id)
      known.parent.ended(word.departure)
    }
  }

  #order(order: Order): void {
    if (this.#child?.pid === undefined) return
    // An order that does not arrive is the process's end, of which all are told.
    this.#child.send(order, () => {})
    // Whoever stopped it does not keep a box alive that is to be killed.
    this.#child.kill("SIGCONT")
  }

  /** Starts a box. */
  spawn({ args, file, files, uid }: Command, rank: Rank, parent: Parent): Child {
    const id = this.#ids++
    const places = files.map((descriptor) => this.#files.indexOf(descriptor))
    if (places.includes(-1)) throw new Error("a command names a file that no spawner was given")
    this.#boxes.set(id, { parent, pid: undefined })
    this.#child ??= this.#begin()
    this.#order({ type: "spawn", id, file, args, uid, files: places, rank })
    const order = (order: Order) => {
      if (this.#boxes.has(id)) this.#order(order)
    }
    return {
      kill: () => order({ type: "kill", id }),
      rank: (rank) => order({ type: "rank", id, rank }),
    }
  }

  /** Ends the process, and with it every box that is left. */
  async close(): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const timer = setTimeout(() => child.kill("SIGKILL"), endTimeoutMs)
    const ended = once(child, "exit").catch(() => {})
    child.stdin?.end()
    child.kill("SIGCONT")
    await ended
    clearTimeout(timer)
  }
}

/** A spawner for as long as the scope lives. @see Spawner */
export const makeSpawner = (
  files: ReadonlyArray<number>,
): Effect.Effect<Spawner, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Spawner(files)),
    (spawner) => Effect.promise(() => spawner.close()),
  )
