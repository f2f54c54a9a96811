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

const escaped = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/**
 * The script to evaluate first in a realm. All of it is ASCII, which takes V8 half the memory and
 * the pipes no decoding; what is not stands in texts, where it can be escaped.
 */
export const bootstrapText = (): string =>
  bundle("realm/bootstrap.js").replaceAll(/[^\0-\u007f]/g, escaped)

/** That script, and V8's cache of it. */
export const loadBootstrap = async (): Promise<{
  readonly bootstrap: string
  readonly cachedData: Uint8Array
}> => {
  const bootstrap = bootstrapText()
  return { bootstrap, cachedData: await makeCodeCache(bootstrap) }
}
