/**
 * What one round does to its kernel: when clients begin, how it ends, whether its files are
 * photographed. It follows from the seed alone.
 */
import type { Random } from "./Random.ts"

/** How a kernel ends. Times are milliseconds. */
export type End =
  /** `SIGKILL` at once. */
  | { readonly kind: "kill" }
  /** `SIGTERM`, and nothing else. */
  | { readonly kind: "stop" }
  /** `SIGTERM`, and `SIGKILL` so much later. */
  | { readonly kind: "kill while stopping"; readonly afterMs: number }
  /** `SIGTERM`, and so much later again. */
  | { readonly kind: "stop twice"; readonly afterMs: number }

/** A kernel that is ended so many milliseconds after its start, wherever it is by then. */
export interface Stillborn {
  readonly afterMs: number
  readonly signal: "SIGKILL" | "SIGTERM"
}

/** One round. */
export interface Plan {
  /** Kernels to start and end before the one that is worked with. */
  readonly stillborn: ReadonlyArray<Stillborn>
  /** Whether clients begin before the kernel is ready. Then nothing is examined in this round. */
  readonly isEager: boolean
  readonly workMs: number
  /** When, within the work, to take a crash image, and whether its end is torn off. */
  readonly image: { readonly atMs: number; readonly isTorn: boolean } | undefined
  readonly end: End
}

const ends: ReadonlyArray<{ readonly weight: number; readonly make: (random: Random) => End }> = [
  { weight: 6, make: () => ({ kind: "kill" }) },
  {
    weight: 3,
    make: (random) => ({ kind: "kill while stopping", afterMs: random.between(0, 60) }),
  },
  { weight: 2, make: () => ({ kind: "stop" }) },
  { weight: 1, make: (random) => ({ kind: "stop twice", afterMs: random.between(55, 80) }) },
]

/** Longest time that clients work in a round. */
const maxWorkMs = 800

/** The plan of one round. */
export const makePlan = (random: Random): Plan => {
  const workMs = random.between(20, maxWorkMs)
  return {
    // A start takes a few hundred milliseconds: these die while they migrate, fold or recover.
    stillborn: random.chance(0.3)
      ? Array.from({ length: random.between(1, 2) }, () => ({
          afterMs: random.between(30, 700),
          signal: random.chance(0.7) ? "SIGKILL" : "SIGTERM",
        }))
      : [],
    isEager: random.chance(0.25),
    workMs,
    image: random.chance(0.25)
      ? { atMs: random.between(0, workMs), isTorn: random.chance(0.5) }
      : undefined,
    end: random.weighted(ends).make(random),
  }
}
