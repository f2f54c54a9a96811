/**
 * One boxed process: has it started, carries frames over its pipes, ends it, and says why it ended.
 * It knows nothing of services.
 */
import type { Socket } from "node:net"

import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Violation } from "solo"

import { encode } from "../realm/Frame.ts"
import type { Command } from "./Command.ts"
import { cpuMsOf, innermost } from "./Figures.ts"
import { hear } from "./Output.ts"
import type { Rank } from "./Rank.ts"
import type { Child, Spawner } from "./Spawner.ts"
import type { Departure } from "./SpawnerProcess.ts"
import { Control, isControl, pack, readControl } from "./Wire.ts"

/** Bytes that wait for a box that does not read: more than its open requests can fill. */
const maxBacklogBytes = 48 * 1024 * 1024

/** How long a pipe may stay open after the process that was started is gone, in milliseconds. */
const closeTimeoutMs = 1000

/** How a box ended. */
export interface Ending {
  readonly reason: string
  readonly violation?: Violation
}

/** The memory a box may use, in its heap and in all. */
interface Limits {
  readonly heapMb: number
  readonly memoryMb: number
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
  { code, printed, reason, signal }: Departure,
  { heapMb, memoryMb }: Limits,
): Ending => {
  if (reason !== undefined) return { reason }
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

/** What a box is made from. */
export interface Making {
  readonly spawner: Spawner
  readonly command: Command
  readonly limits: Limits
  readonly birth: Birth
  /** How it takes its turn while it boots. */
  readonly rank?: Rank
}

/** A boxed process. */
export class Box {
  readonly #limits: Limits
  /** Completes when the process is gone and all its pipes are closed. */
  readonly gone = Deferred.makeUnsafe<Ending>()
  readonly #child: Child
  /** What waits for the pipe, while there is none yet. */
  #early: Array<Buffer> = []
  #pid: number | undefined
  #input: Socket | undefined
  #output: Socket | undefined
  /** Whether all that it said was heard, and who waits for that. */
  #isHeard = false
  #whenHeard: (() => void) | undefined
  #listener: Listener | undefined
  #birth: Birth | undefined
  #ending: Ending | undefined
  #gone: Ending | undefined
  #corked = false
  #pinged: { readonly id: number; readonly at: number; readonly cpuMs: number } | undefined
  #lastPing = 0
  #innermost: number | undefined
  #figures: readonly [memoryBytes: number, cpuMs: number] = [0, 0]

  constructor({ birth, command, limits, rank = "usual", spawner }: Making) {
    this.#limits = limits
    this.#birth = birth
    this.#child = spawner.spawn(command, rank, {
      started: (pid, output) => {
        this.#pid = pid
        if (output !== undefined) this.#hear(output)
      },
      input: (input) => this.#connect(input),
      ended: (departure) => this.#depart(departure),
    })
  }

  #hear(output: Socket): void {
    this.#output = output
    hear(output, {
      isOver: () => this.#ending !== undefined,
      frame: (frame) => this.#take(frame),
      broken: () => this.end({ reason: "the box broke the protocol of its driver" }),
      closed: () => {
        this.#isHeard = true
        this.#whenHeard?.()
      },
    })
  }

  #connect(input: Socket): void {
    if (this.#ending !== undefined) {
      input.destroy()
      return
    }
    this.#input = input
    for (const bytes of this.#early) input.write(bytes)
    this.#early = []
  }

  /** Bubblewrap may be gone before the process in it, whose pipes close last. */
  #depart(departure: Departure): void {
    const finish = () => this.#finish(departure)
    this.#input?.destroy()
    if (this.#output === undefined || this.#isHeard) return finish()
    this.#whenHeard = finish
    setTimeout(() => {
      this.#output?.destroy()
      finish()
    }, closeTimeoutMs).unref()
  }

  #finish(departure: Departure): void {
    if (this.#gone !== undefined) return
    this.#gone = this.#ending ??= autopsy(departure, this.#limits)
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

  /** The process that was started, once it is: the box itself, or what holds it. */
  get pid(): number | undefined {
    return this.#pid
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
    if (this.#ending !== undefined) return
    const input = this.#input
    if (input === undefined) {
      this.#early.push(pack(frame))
      return
    }
    if (!input.writable) return
    if (!this.#corked) {
      this.#corked = true
      input.cork()
      process.nextTick(() => {
        this.#corked = false
        input.uncork()
      })
    }
    input.write(pack(frame))
    if (input.writableLength > maxBacklogBytes)
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

  /** Has the process take its turn at a processor like any other, or after everybody. */
  rank(rank: Rank): void {
    this.#child.rank(rank)
  }

  /** Ends the process at once, for the first reason given. */
  end(ending: Ending): void {
    if (this.#ending !== undefined) return
    this.#ending = ending
    this.#early = []
    this.#input?.destroy()
    this.#child.kill()
  }
}
