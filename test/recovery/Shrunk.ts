/**
 * Properties that end in effects: what fails is shrunk, and told with its seed. It knows nothing of
 * kernels.
 */
import { assert } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/**
 * Runs `property` on values of `cases`, and fails with the smallest that it fails on. A failed
 * assertion is a defect, which the shrinker would let pass; so every cause becomes a failure.
 */
export const holdsFor = Effect.fnUntraced(function* <A, R>(
  cases: Arbitrary.Arbitrary<A>,
  property: (value: A) => Effect.Effect<unknown, unknown, R>,
  options: { readonly runs: number; readonly seed: string; readonly size: number },
) {
  const told = (value: A) =>
    property(value).pipe(
      Effect.as(true),
      Effect.catchCause((cause) => Effect.fail(Cause.pretty(cause))),
    )
  const result = yield* Arbitrary.checkEffect(cases, told, options)
  assert.isUndefined(Arbitrary.formatCheckFailure(result))
})
