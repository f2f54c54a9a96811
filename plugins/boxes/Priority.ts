/**
 * Who waits for whom where there is not processor time for all: services that take much of it give
 * way to those that take little, and to the kernel. Nothing is taken from anybody while there is
 * enough. It finds those that take more than they may; to end them is the watch's business.
 */
import type { Box } from "./Box.ts"
import { cpuMsOf, innermost } from "./Figures.ts"

/** The share of one processor above which a service is greedy, and below which it is modest. */
const greedyShare = 0.3
const modestShare = 0.05
/** How long a greedy service must be modest before it counts as one that takes little. */
const probationMs = 5000
/** A crash within this time after the start counts as greed: starting is what takes most. */
const crashLoopMs = 5000
/** For how long a greedy service that ended is remembered. */
const memoryMs = 60_000

/** How often a box is looked at: one that is new or busy, and any other. */
const livelyMs = 200
const calmMs = 1000
/** How long a box is new. */
const newMs = 3000

/** What is known of a service beforehand. */
export interface Needs {
  /** The same for every box that the service ever has. */
  readonly key: string
  /** How much of one processor it may take. */
  readonly cpuPercent: number
}

interface Guest {
  readonly key: string
  readonly pid: number
  readonly since: number
  readonly cpuPercent: number
  /** When the window for `cpuPercent` began, and what had been taken by then. */
  window: { readonly at: number; readonly cpuMs: number }
  share: number
  isGreedy: boolean
  modestSince: number
  sampledAt: number
  cpuMs: number
}

/** The services in boxes by how much they take. Times are those of any clock in milliseconds. */
export class Priority {
  readonly #guests = new Map<Box, Guest>()
  /** Greedy services that ended, and until when they are remembered. */
  readonly #remembered = new Map<string, number>()
  readonly #cpuWindowMs: number

  /** `cpuWindowMs`: what the limit of processor time is averaged over. */
  constructor(cpuWindowMs: number) {
    this.#cpuWindowMs = cpuWindowMs
  }

  /** Whether a service that is about to start was greedy before. */
  wasGreedy(key: string, now: number): boolean {
    return (this.#remembered.get(key) ?? 0) > now
  }

  /** The box has a service from now on, which may take so much of one processor. */
  add(box: Box, { cpuPercent, key }: Needs, now: number): void {
    if (box.pid === undefined) return
    const pid = innermost(box.pid)
    const cpuMs = cpuMsOf(pid) ?? 0
    const guest: Guest = {
      key,
      pid,
      since: now,
      cpuPercent,
      window: { at: now, cpuMs },
      share: 0,
      isGreedy: this.wasGreedy(key, now),
      modestSince: now,
      sampledAt: now,
      cpuMs,
    }
    this.#guests.set(box, guest)
    if (guest.isGreedy) box.rank("last")
  }

  /** The box has ended, by itself or not. */
  remove(box: Box, isCrash: boolean, now: number): void {
    const guest = this.#guests.get(box)
    if (guest === undefined) return
    this.#guests.delete(box)
    for (const [key, until] of this.#remembered) if (until <= now) this.#remembered.delete(key)
    if (isCrash && (guest.isGreedy || now - guest.since < crashLoopMs))
      this.#remembered.set(guest.key, now + memoryMs)
  }

  /** Looks at whoever is due; answers the boxes that took more than they may. */
  tick(now: number): ReadonlyArray<Box> {
    const over: Array<Box> = []
    for (const [box, guest] of this.#guests) {
      const isLively = guest.share > modestShare || now - guest.since < newMs
      if (now - guest.sampledAt < (isLively ? livelyMs : calmMs)) continue
      const cpuMs = cpuMsOf(guest.pid)
      if (cpuMs === undefined) continue
      this.#sample(box, guest, cpuMs, now)
      if (this.#isOver(guest, now)) over.push(box)
    }
    return over
  }

  #sample(box: Box, guest: Guest, cpuMs: number, now: number): void {
    guest.share = (guest.share + (cpuMs - guest.cpuMs) / (now - guest.sampledAt)) / 2
    guest.cpuMs = cpuMs
    guest.sampledAt = now
    if (guest.share >= modestShare) guest.modestSince = now
    if (!guest.isGreedy && guest.share > greedyShare) this.#judge(box, guest, true)
    else if (guest.isGreedy && now - guest.modestSince >= probationMs)
      this.#judge(box, guest, false)
  }

  /** Whether a whole window has passed in which the service took more than it may. */
  #isOver(guest: Guest, now: number): boolean {
    const { at, cpuMs } = guest.window
    if (now - at < this.#cpuWindowMs) return false
    guest.window = { at: now, cpuMs: guest.cpuMs }
    return (100 * (guest.cpuMs - cpuMs)) / (now - at) > guest.cpuPercent
  }

  #judge(box: Box, guest: Guest, isGreedy: boolean): void {
    guest.isGreedy = isGreedy
    box.rank(isGreedy ? "last" : "usual")
  }
}
