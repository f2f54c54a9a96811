/**
 * What a campaign counts, and every broken promise it meets.
 */

/** One broken promise. */
interface Loss {
  readonly round: number
  /** The number of the promise (design §5). */
  readonly promise: number
  readonly what: string
}

/** The tally of a campaign. */
export interface Figures {
  /** Counts one more of `what`. */
  readonly count: (what: string, by?: number) => void
  readonly counts: ReadonlyMap<string, number>
  readonly lose: (promise: number, what: string) => void
  readonly losses: ReadonlyArray<Loss>
  /** The round that is under way. */
  round: number
}

/** Losses kept; one bad start can break every promise at once. */
const maxLosses = 200

/** Starts counting. */
export const makeFigures = (): Figures => {
  const counts = new Map<string, number>()
  const losses: Array<Loss> = []
  const figures: Figures = {
    counts,
    losses,
    round: 0,
    count: (what, by = 1) => void counts.set(what, (counts.get(what) ?? 0) + by),
    lose: (promise, what) => {
      if (losses.length < maxLosses) losses.push({ round: figures.round, promise, what })
    },
  }
  return figures
}

/** The tally as lines of text. */
export const describeFigures = (figures: Figures): string =>
  [
    ...[...figures.counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, n]) => `${what}: ${n}`),
    `losses: ${figures.losses.length}`,
    ...figures.losses.map(
      ({ round, promise, what }) => `  round ${round}, promise ${promise}: ${what}`,
    ),
  ].join("\n")
