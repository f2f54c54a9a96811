/**
 * What the text of a token looks like, so that one in the wrong place can be told from a name and
 * kept out of answers, events and logs (promise 8). What a token is good for is `Capability`'s.
 */
import * as Schema from "effect/Schema"

/** How tokens begin, so that whoever scans texts for leaked secrets can find them. */
export const tokenPrefix = "solo_"

/** Random bytes in a token; base64url makes 43 characters of them. */
export const tokenBytes = 32

const pattern = /solo_[A-Za-z0-9_-]{43,}/g

/** Whether something in `text` looks like a token, good or not. */
export const holdsToken = (text: string): boolean => text.search(pattern) !== -1

/** The text with `<token>` in place of whatever looks like one. */
export const withoutTokens = (text: string): string =>
  text.includes(tokenPrefix) ? text.replaceAll(pattern, "<token>") : text

/** Refuses what looks like a token where a name is asked for. */
export const isNoToken = Schema.makeFilter<string>(
  (text) => !holdsToken(text) || "Expected a name, not a token",
)
