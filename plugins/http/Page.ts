/**
 * Lists in pages: `limit`, an opaque `cursor`, and the answer `{ items, next }`. What a cursor
 * holds is the list's own business; here it only becomes opaque, and is refused where it does not
 * belong.
 */
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { invalidRequest } from "./Failures.ts"
import type { Problem } from "./Problem.ts"

/** Items on a page unless `limit` says otherwise. */
export const defaultLimit = 100
/** Most items on a page. */
const maxLimit = 1000

/** The query fields of every list. */
export const pageQuery = {
  limit: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maxLimit })).annotate({
      description: `At most so many items, 1 to ${maxLimit}; ${defaultLimit} unless given.`,
    }),
  ),
  cursor: Schema.optionalKey(
    Schema.String.check(Schema.isMaxLength(1024)).annotate({
      description: "Where to go on: `next` of the page before, unchanged.",
    }),
  ),
}

/** One page of `item`s. */
export const pageOf = <S extends Schema.Top>(item: S) =>
  Schema.Struct({
    items: Schema.Array(item),
    next: Schema.NullOr(Schema.String).annotate({
      description: "The cursor of the next page; null on the last one.",
    }),
  })

/** The cursor of the list `kind` that stands at `position`. */
export const cursorAt = (kind: string, position: string): string =>
  Base64Url.encode(`${kind}:${position}`)

/** A cursor that is none, or belongs to another list. */
export const malformedCursor = (path: ReadonlyArray<string>): Problem =>
  invalidRequest([{ path, message: "Expected a cursor that this list gave out" }])

/** Where `cursor` stands in the list `kind`; `undefined` when there is no cursor. */
export const positionOf = (
  kind: string,
  cursor: string | undefined,
  path: ReadonlyArray<string> = ["query", "cursor"],
): Effect.Effect<string | undefined, Problem> => {
  if (cursor === undefined) return Effect.undefined
  const text = Result.getOrElse(Base64Url.decodeString(cursor), () => "")
  return text.startsWith(`${kind}:`)
    ? Effect.succeed(text.slice(kind.length + 1))
    : Effect.fail(malformedCursor(path))
}
