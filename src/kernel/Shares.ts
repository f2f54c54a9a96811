/**
 * Places shared among tenants: a bound on all, a bound on each, and room always kept for whoever
 * comes next. It counts; who is refused how is its user's business.
 */

/** Who has how many of a limited number of places. */
export interface Shares {
  /**
   * Takes a place for `key`. Nobody gets more places than are still free, so that one alone can
   * have half of them, two a third each, and a newcomer always finds some.
   */
  readonly enter: (key: string) => "entered" | "share" | "full"
  readonly leave: (key: string) => void
  readonly taken: () => number
}

/** Shares `total` places, at most `each` per key. */
export const makeShares = (total: number, each: number): Shares => {
  const held = new Map<string, number>()
  let taken = 0
  return {
    enter: (key) => {
      const free = total - taken
      if (free <= 0) return "full"
      const mine = held.get(key) ?? 0
      if (mine >= each || mine >= free) return "share"
      held.set(key, mine + 1)
      taken++
      return "entered"
    },
    leave: (key) => {
      const mine = held.get(key) ?? 0
      if (mine <= 1) held.delete(key)
      else held.set(key, mine - 1)
      taken--
    },
    taken: () => taken,
  }
}
