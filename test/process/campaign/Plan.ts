/**
 * What one round does to its kernel: when clients begin, how it ends, whether its files are
 * photographed. It follows from the seed and the round alone.
 */
import type { Random } from "./Random.ts"
import type { Phase } from "./Traps.ts"

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

/** A kernel that is ended before it is worked with. */
type Stillborn =
  /** So many milliseconds after its start, wherever it is by then. */
  | { readonly afterMs: number; readonly signal: "SIGKILL" | "SIGTERM" }
  /** By a trap in this phase of its start. */
  | { readonly phase: Phase }

/** One round. */
export interface Plan {
  /** Kernels to start and end before the one that is worked with. */
  readonly stillborn: ReadonlyArray<Stillborn>
  /** The step behind which a kernel dies that replaces its master key, before that one. */
  readonly rotation: number | undefined
  /** Whether clients begin before the kernel is ready. Then nothing is examined in this round. */
  readonly isEager: boolean
  /** Clients work at least so long, and until so many requests were answered. */
  readonly workMs: number
  readonly answers: number
  /** When, within the work, to take a crash image, and whether its end is torn off. */
  readonly image: { readonly atMs: number; readonly isTorn: boolean } | undefined
  /** The phase in which a trap is set for the kernel, which then ends before its end. */
  readonly trap: Phase | undefined
  /** When, within the work, to begin a backup, and how soon to kill it, if at all. */
  readonly backup: { readonly atMs: number; readonly killAfterMs: number | undefined } | undefined
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

const traps: ReadonlyArray<{ readonly weight: number; readonly phase: Phase }> = [
  { weight: 4, phase: "commit" },
  { weight: 3, phase: "checkpoint" },
  { weight: 3, phase: "rotation" },
  { weight: 3, phase: "shutdown" },
]

/** Longest time that clients work in a round, on a machine that lets them. */
const maxWorkMs = 800

/** Most answers a round waits for: what a quiet machine gives in about that time. */
const maxAnswers = 60

/** Longest time that a backup may take before it is killed, if it is to be. */
const maxBackupMs = 500

const stillbornOf = (random: Random): ReadonlyArray<Stillborn> => {
  // A start takes a few hundred milliseconds: these die while they migrate, fold or recover.
  if (random.chance(0.2)) {
    return Array.from({ length: random.between(1, 2) }, () => ({
      afterMs: random.between(30, 900),
      signal: random.chance(0.7) ? "SIGKILL" : "SIGTERM",
    }))
  }
  return random.chance(0.25) ? [{ phase: "recovery" }] : []
}

/**
 * Rounds between two rotations that are cut short: ten rounds cut it short at each of its steps. By
 * chance they would be too few to notice a key that is dropped too early.
 */
const rotationEvery = 2

/** The plan of one round; the first rounds of a directory also die while they migrate it. */
export const makePlan = (random: Random, round: number, isFirst: boolean): Plan => {
  const workMs = random.between(20, maxWorkMs)
  const migrations: ReadonlyArray<Stillborn> = isFirst
    ? Array.from({ length: random.between(1, 4) }, () => ({ phase: "migration" }))
    : []
  const trap = random.chance(0.4) ? random.weighted(traps).phase : undefined
  const backup = trap === undefined && random.chance(0.12)
  return {
    stillborn: [...migrations, ...stillbornOf(random)],
    rotation: round % rotationEvery === 0 ? round / rotationEvery - 1 : undefined,
    isEager: random.chance(0.25),
    workMs,
    answers: random.between(0, maxAnswers),
    image:
      !backup && random.chance(0.25)
        ? { atMs: random.between(0, workMs), isTorn: random.chance(0.5) }
        : undefined,
    trap,
    backup: backup
      ? {
          atMs: random.between(0, workMs),
          killAfterMs: random.chance(0.6) ? random.between(50, maxBackupMs) : undefined,
        }
      : undefined,
    // Checkpoints are taken at work and before the last word; the others have their own time.
    end:
      trap === "shutdown" || (trap === "checkpoint" && random.chance(0.5))
        ? { kind: "stop" }
        : random.weighted(ends).make(random),
  }
}
