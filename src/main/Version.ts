/**
 * The version of Solo that runs, as package.json says it.
 */
import { readFileSync } from "node:fs"

import * as Schema from "effect/Schema"

const Manifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** Solo's version. */
export const version: string = Schema.decodeSync(Manifest)(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
).version
