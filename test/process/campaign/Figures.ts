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
  /** From now on nothing is counted as lost: whoever broke the campaign off took the kernel along. */
  readonly close: () => void
  /** The round that is under way. */
  round: number
}

/** Losses kept; one bad start can break every promise at once. */
const maxLosses = 200

/** Starts counting. */
export const makeFigures = (): Figures => {
  const counts = new Map<string, number>()
  const losses: Array<Loss> = []
  let isClosed = false
  const figures: Figures = {
    counts,
    losses,
    close: () => {
      isClosed = true
    },
    round: 0,
    count: (what, by = 1) => void counts.set(what, (counts.get(what) ?? 0) + by),
    lose: (promise, what) => {
      if (!isClosed && losses.length < maxLosses)
        losses.push({ round: figures.round, promise, what })
    },
  }
  return figures
}

/** Several tallies as one. */
export const sumOf = (all: ReadonlyArray<Figures>): Figures => {
  const sum = makeFigures()
  for (const { counts, losses } of all) {
    for (const [what, n] of counts) sum.count(what, n)
    for (const { promise, round, what } of losses) {
      sum.round = round
      sum.lose(promise, what)
    }
  }
  return sum
}

/** The sum of everything counted under `prefix`, and under what follows it. */
export const countedUnder = (
  { counts }: Figures,
  prefix: string,
): { readonly total: number; readonly parts: Readonly<Record<string, number>> } => {
  const parts = [...counts]
    .filter(([what]) => what.startsWith(prefix))
    .map(([what, n]) => [what.slice(prefix.length), n] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return { total: parts.reduce((sum, [, n]) => sum + n, 0), parts: Object.fromEntries(parts) }
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
