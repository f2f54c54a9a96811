/**
 * Choices that follow from a seed: the same seed makes the same plan. What really happens still
 * depends on when the machine does what.
 */

/** A source of choices. */
export interface Random {
  /** A whole number from `minimum` to `maximum`, both included. */
  readonly between: (minimum: number, maximum: number) => number
  /** Whether something happens that has this probability. */
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(items: ReadonlyArray<A>) => A
  /** Picks by weight. */
  readonly weighted: <A extends { readonly weight: number }>(items: ReadonlyArray<A>) => A
  /** A further source that what happens to this one does not change. */
  readonly fork: (salt: number) => Random
}

/** Starts a source (mulberry32). */
export const makeRandom = (seed: number): Random => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (minimum: number, maximum: number) =>
    minimum + Math.floor(next() * (maximum - minimum + 1))
  return {
    between,
    chance: (probability) => next() < probability,
    pick: (items) => items[between(0, items.length - 1)]!,
    weighted: (items) => {
      let left = next() * items.reduce((sum, item) => sum + item.weight, 0)
      return items.find((item) => (left -= item.weight) < 0) ?? items.at(-1)!
    },
    fork: (salt) => makeRandom(Math.imul(seed ^ 0x9e3779b9, salt * 2 + 1) ^ (salt << 7)),
  }
}
