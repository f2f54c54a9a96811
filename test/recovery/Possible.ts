/**
 * What is known of things, each by its key, when not every step was answered: one situation where
 * all is known, more while a step is in doubt. A step happens as a whole or not at all. Situations
 * are plain JSON.
 */

/** What may be true of each thing. */
export interface Possible<S> {
  readonly situations: ReadonlyMap<string, ReadonlyArray<S>>
  /** What an answer contradicted, if any did. */
  readonly contradiction: string | undefined
}

/** Nothing was ever asked for. */
export const untouched: Possible<never> = { situations: new Map(), contradiction: undefined }

/** What a step comes to in a situation when nothing goes wrong. */
export interface Outcome<S> {
  readonly answer: string
  readonly after: S
}

/** Replaces what may be true of one thing. */
export const suppose = <S>(
  possible: Possible<S>,
  key: string,
  situations: ReadonlyArray<S>,
): Possible<S> => {
  const different = new Map(situations.map((one) => [JSON.stringify(one), one]))
  return { ...possible, situations: new Map(possible.situations).set(key, [...different.values()]) }
}

/** The same after an answer; when nothing can be true any more, the answer was a contradiction. */
export const know = <S>(
  possible: Possible<S>,
  key: string,
  before: ReadonlyArray<S>,
  after: ReadonlyArray<S>,
  because: string,
): Possible<S> => {
  if (after.length > 0) return suppose(possible, key, after)
  const contradiction = `${key} was one of ${JSON.stringify(before)}: ${because}`
  return { ...possible, contradiction: possible.contradiction ?? contradiction }
}

/** What may be true of one thing after a step that was answered so, or not at all. */
export const after = <S>(
  before: ReadonlyArray<S>,
  outcome: (now: S) => Outcome<S>,
  answer: string,
): ReadonlyArray<S> => {
  const outcomes = before.map(outcome)
  switch (answer) {
    case "Refused":
      return before
    case "Unknown":
      return [...before, ...outcomes.map((one) => one.after)]
    default:
      return outcomes.filter((one) => one.answer === answer).map((one) => one.after)
  }
}

/** What may still be true once it was seen what is. */
export const witnessed = <S>(possible: Possible<S>, fits: (key: string, now: S) => boolean) => ({
  ...possible,
  situations: new Map(
    [...possible.situations].map(([key, all]) => [key, all.filter((one) => fits(key, one))]),
  ),
})
