/**
 * Where the bundles of the realm are: `npm run build` writes them, also for those who run Solo
 * from its source.
 */
import { readFileSync } from "node:fs"

import { makeCodeCache } from "./Runner.ts"

const dist = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/plugins/" : "../",
  import.meta.url,
)

/** The text of a bundle, such as `threads/ThreadRunner.cjs`. */
export const bundle = (path: string): string => readFileSync(new URL(path, dist), "utf8")

/** The script to evaluate first in a realm, and V8's cache of it. */
export const loadBootstrap = (): {
  readonly bootstrap: string
  readonly cachedData: Uint8Array
} => {
  const bootstrap = bundle("realm/bootstrap.js")
  return { bootstrap, cachedData: makeCodeCache(bootstrap) }
}
