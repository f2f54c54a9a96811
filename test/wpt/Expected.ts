/**
 * Which files of web-platform-tests are run, and which of their cases fail for a reason that stays.
 * What `expected.json` does not name must pass, and what it names must fail: a deviation that goes
 * away is taken out there.
 */
import { readFileSync } from "node:fs"

import * as Schema from "effect/Schema"

/** Names of cases, or a pattern that fits all that fail and none that passes. */
const Cases = Schema.Union([Schema.String, Schema.Array(Schema.String)])

const Expected = Schema.Struct({
  /** The edition of web-platform-tests that the names are from. */
  commit: Schema.String,
  /** Why cases fail, by a short name. */
  reasons: Schema.Record(Schema.String, Schema.String),
  /** By file: by reason, the cases that fail. */
  files: Schema.Record(Schema.String, Schema.Record(Schema.String, Cases)),
})

/** What is expected. */
export const expected = Schema.decodeSync(Schema.fromJsonString(Expected))(
  readFileSync(new URL("expected.json", import.meta.url), "utf8"),
)

/** Why this case fails, or `undefined` where it passes. */
export const whyFails = (file: string, name: string): string | undefined => {
  for (const [reason, cases] of Object.entries(expected.files[file] ?? {})) {
    const fits =
      typeof cases === "string" ? new RegExp(cases, "u").test(name) : cases.includes(name)
    if (fits) return expected.reasons[reason] ?? reason
  }
  return undefined
}
