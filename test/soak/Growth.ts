/**
 * Whether something grows that must not. Memory moves up and down with the garbage collector, so
 * the floor counts: the lowest value of the second third of a life against that of the last third.
 */
import type { Sample } from "./Sample.ts"

/** What may grow, and how much, per 1000 acknowledged changes. */
interface Bound {
  readonly what: "handles" | "processes" | "rss" | "threads"
  readonly per1000: number
  /** Growth below this is noise, whatever the rate. */
  readonly noise: number
}

const mebibyte = 1024 * 1024

/** The bounds of a soak. */
const bounds: ReadonlyArray<Bound> = [
  { what: "rss", per1000: 4 * mebibyte, noise: 24 * mebibyte },
  { what: "handles", per1000: 2, noise: 16 },
  { what: "threads", per1000: 1, noise: 12 },
  { what: "processes", per1000: 1, noise: 12 },
]

/** Largest write-ahead log: a checkpoint comes every 4 MiB, unless somebody reads for long. */
export const maxWal = 64 * mebibyte

/** How far something grew within a life, and over how many steps. */
export interface Growth {
  readonly life: number
  readonly bound: Bound
  readonly grown: number
  readonly steps: number
  readonly isTooMuch: boolean
}

const floor = (samples: ReadonlyArray<Sample>, what: Bound["what"]) =>
  Math.min(...samples.map((sample) => sample[what]))

/** What grew within one life of the kernel. */
export const growthOf = (samples: ReadonlyArray<Sample>): ReadonlyArray<Growth> => {
  const third = Math.floor(samples.length / 3)
  if (third < 5) return []
  const middle = samples.slice(third, 2 * third)
  const last = samples.slice(2 * third)
  const steps = last.at(-1)!.steps - middle[0]!.steps
  return bounds.map((bound) => {
    const grown = floor(last, bound.what) - floor(middle, bound.what)
    // The two floors lie about half of these steps apart.
    const allowed = Math.max(bound.noise, (bound.per1000 * steps) / 2000)
    return { life: samples[0]!.life, bound, grown, steps, isTooMuch: grown > allowed }
  })
}
