/**
 * One boxed process: starts it, carries frames over its pipes, ends it, and says why it ended. It
 * knows nothing of services.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync } from "node:fs"

import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Violation } from "solo"

import { encode } from "../realm/Frame.ts"
import type { Command } from "./Enclosure.ts"
import { childrenOf, cpuMsOf, innermost } from "./Figures.ts"
import { Control, Cutter, isControl, maxFrameBytes, pack, readControl } from "./Wire.ts"

/** Bytes that wait for a box that does not read: more than its open requests can fill. */
const maxBacklogBytes = 48 * 1024 * 1024
/** What is kept of what Node itself prints, such as why it ran out of memory. */
const maxPrinted = 8192

/** How long pipes may stay open after the process that was started is gone, in milliseconds. */
const closeTimeoutMs = 1000

/** How long bubblewrap has to end after what it held, in milliseconds. */
const burialMs = 100

/** How a box ended. */
export interface Ending {
  readonly reason: string
  readonly violation?: Violation
}

/** Who listens to a box. */
export interface Listener {
  /** A frame of the realm's protocol. */
  readonly frame: (frame: Uint8Array) => void
  /** The process is gone and all its pipes are closed. */
  readonly ended: (ending: Ending) => void
}

/** Why a process ended by itself, out of what Node printed. */
const autopsy = (
  code: number | null,
  signal: string | null,
  printed: string,
  limits: { readonly heapMb: number; readonly memoryMb: number },
): Ending => {
  const { heapMb, memoryMb } = limits
  if (/heap out of memory|heap limit|invalid table size/i.test(printed))
    return {
      reason: `out of memory: the service used more than ${heapMb} MiB of heap (limits.heapMb)`,
      violation: { limit: "heapMb", value: heapMb },
    }
  if (/out of memory|bad_alloc|allocation failed|Failed to reserve/i.test(printed))
    return {
      reason: `out of memory: the service used more than ${memoryMb} MiB in and outside its heap`,
      violation: { limit: "memoryMb", value: memoryMb },
    }
  const how = signal === null ? `with exit code ${String(code)}` : `by ${signal}`
  return { reason: `the service's process ended ${how}` }
}

/** What is heard from a box before it has a service. */
export interface Birth {
  /** It is up. */
  readonly booted: () => void
  /** A piece of the code cache it was asked for. */
  readonly cache?: (piece: Uint8Array) => void
}

/** A boxed process. */
export class Box {
  readonly #child: ChildProcess
  readonly #limits: { readonly heapMb: number; readonly memoryMb: number }
  /** Completes when the process is gone and all its pipes are closed. */
  readonly gone = Deferred.makeUnsafe<Ending>()
  #listener: Listener | undefined
  #birth: Birth | undefined
  #printed = ""
  #ending: Ending | undefined
  #gone: Ending | undefined
  #corked = false
  #pinged: { readonly id: number; readonly at: number; readonly cpuMs: number } | undefined
  #lastPing = 0
  #innermost: number | undefined
  #figures: readonly [memoryBytes: number, cpuMs: number] = [0, 0]

  constructor(
    command: Command,
    limits: { readonly heapMb: number; readonly memoryMb: number },
    birth: Birth,
  ) {
    this.#limits = limits
    this.#birth = birth
    const { args, extra, file, uid } = command
    try {
      this.#child = spawn(file, args, {
        cwd: "/",
        env: {},
        // A process group of its own: to be killed as one, and out of reach of a terminal's Ctrl-C.
        detached: true,
        stdio: ["pipe", "pipe", "pipe", ...extra],
        ...(uid === undefined ? {} : { uid, gid: uid }),
      })
    } finally {
      for (const descriptor of extra) closeSync(descriptor)
    }
    this.#listen()
  }

  #listen(): void {
    const child = this.#child
    const cutter = new Cutter(maxFrameBytes, (frame) => this.#take(frame))
    child.stdout!.on("data", (bytes: Buffer) => {
      if (this.#ending === undefined && !cutter.push(bytes))
        this.end({ reason: "the box broke the protocol of its driver" })
    })
    child.stderr!.on("data", (bytes: Buffer) => {
      if (this.#printed.length < maxPrinted)
        this.#printed = (this.#printed + bytes.toString()).slice(0, maxPrinted)
    })
    for (const pipe of child.stdio) pipe?.on("error", () => {})
    child.on("error", (error) => {
      this.#ending ??= { reason: `the box could not be started: ${error.message}` }
      if (child.pid === undefined) this.#finish(null, null)
    })
    // Not "exit": bubblewrap may be gone before the process in it, whose pipes close last.
    child.on("close", (code, signal) => this.#finish(code, signal))
    child.on("exit", (code, signal) => {
      setTimeout(() => this.#finish(code, signal), closeTimeoutMs).unref()
    })
  }

  #finish(code: number | null, signal: string | null): void {
    if (this.#gone !== undefined) return
    this.#gone = this.#ending ??= autopsy(code, signal, this.#printed, this.#limits)
    Deferred.doneUnsafe(this.gone, Effect.succeed(this.#gone))
    this.#listener?.ended(this.#gone)
  }

  #take(frame: Uint8Array): void {
    if (this.#ending !== undefined) return
    if (!isControl(frame)) {
      if (this.#listener === undefined) this.end({ reason: "the box spoke before it was asked" })
      else this.#listener.frame(frame)
      return
    }
    const control = readControl(frame)
    if (control?.type === Control.booted && this.#birth !== undefined) {
      this.#birth.booted()
      this.#birth = undefined
    } else if (control?.type === Control.cache && this.#birth?.cache !== undefined)
      this.#birth.cache(control.body)
    else if (control?.type === Control.pong && control.id === this.#pinged?.id) {
      this.#pinged = undefined
      this.#note(control.text)
    } else this.end({ reason: "the box broke the protocol of its driver" })
  }

  #note(text: string): void {
    const [memory, cpu] = text.length < 64 ? (text.match(/\d+/g) ?? []) : []
    this.#figures = [Number(memory ?? 0), Number(cpu ?? 0)]
  }

  /** The process that was started: the box itself, or what holds it. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Whether the process is gone. */
  get isGone(): boolean {
    return this.#gone !== undefined
  }

  /** What the box last said it uses. */
  get figures(): readonly [memoryBytes: number, cpuMs: number] {
    return this.#figures
  }

  /** Listens to the box from now on. If it is gone, the listener is told at once. */
  listen(listener: Listener): void {
    this.#listener = listener
    if (this.#gone !== undefined) listener.ended(this.#gone)
  }

  /** Sends a frame; without effect when the process is gone. */
  send(frame: Uint8Array): void {
    const { stdin } = this.#child
    if (this.#ending !== undefined || stdin === null || !stdin.writable) return
    if (!this.#corked) {
      this.#corked = true
      stdin.cork()
      process.nextTick(() => {
        this.#corked = false
        stdin.uncork()
      })
    }
    stdin.write(pack(frame))
    if (stdin.writableLength > maxBacklogBytes)
      this.end({
        reason: `the service did not read: ${maxBacklogBytes} bytes wait for it (backlogBytes)`,
        violation: { limit: "backlogBytes", value: maxBacklogBytes },
      })
  }

  /** Asks for a sign of life, unless an answer is due. `now` is any clock in milliseconds. */
  ping(now: number): void {
    if (this.#pinged !== undefined) return
    this.#lastPing = (this.#lastPing + 1) >>> 0
    this.#pinged = { id: this.#lastPing, at: now, cpuMs: this.#cpuMs ?? 0 }
    this.send(encode(Control.ping, this.#lastPing))
  }

  /** Since when the box has owed a sign of life, if it does. */
  get silentSince(): number | undefined {
    return this.#pinged?.at
  }

  /** Processor time it took while it has owed a sign of life, if the system tells. */
  get busyMs(): number | undefined {
    const cpuMs = this.#cpuMs
    return cpuMs === undefined ? undefined : cpuMs - (this.#pinged?.cpuMs ?? cpuMs)
  }

  get #cpuMs(): number | undefined {
    const { pid } = this
    this.#innermost ??= pid === undefined ? undefined : innermost(pid)
    return this.#innermost === undefined ? undefined : cpuMsOf(this.#innermost)
  }

  /** Counts its silence from `now` on: the time before does not count. */
  forgive(now: number): void {
    if (this.#pinged !== undefined)
      this.#pinged = { ...this.#pinged, at: now, cpuMs: this.#cpuMs ?? 0 }
  }

  /** Ends the process at once, for the first reason given. */
  end(ending: Ending): void {
    if (this.#ending !== undefined) return
    this.#ending = ending
    this.#kill()
  }

  /**
   * What is inside bubblewrap is killed first, so that bubblewrap can bury it: init, where there
   * is one that does it, has nothing to do. Then the whole group goes: bubblewrap that is killed
   * while it sets a box up leaves its half of it behind, waiting for ever.
   */
  #kill(): void {
    const { pid, stdin } = this.#child
    stdin?.destroy()
    if (pid === undefined || !this.#isThere) return
    const inside = childrenOf(pid)
    for (const child of inside) killIfThere(child)
    if (inside.length === 0) killIfThere(-pid)
    else setTimeout(() => this.#isThere && killIfThere(-pid), burialMs).unref()
  }

  get #isThere(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }
}

const killIfThere = (pid: number): void => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended by itself.
  }
}
