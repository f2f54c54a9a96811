/**
 * Bounds that many shapes share: numbers that count, and whole numbers within limits.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A whole number from 0. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A whole number from `minimum` to `maximum`. */
export const between = (minimum: number, maximum: number) =>
  Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** The same, with what holds when the key is left out. */
export const bounded = (minimum: number, maximum: number, fallback: number) =>
  between(minimum, maximum).pipe(Schema.withDecodingDefaultKey(Effect.succeed(fallback)))
