/**
 * Where tests cut in: after how many turns of the scheduler something happens to what is under way.
 */

/** Of how many places one is tried: runs against hundreds of mutants try few. */
const stride = Number(process.env["TEST_CUTS"] ?? 1)

/** The numbers from 0 below `end`, `step` apart. */
export const cuts = (end: number, step = 1): ReadonlyArray<number> => {
  const wide = step * stride
  return Array.from({ length: Math.ceil(end / wide) }, (_, index) => index * wide)
}
