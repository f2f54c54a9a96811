/**
 * The record of one request while it runs: the id that names it in its response, in problems and
 * in the log, and what the log says about it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { holdsToken } from "solo"

/** One request. Its later fields are filled in on the way. */
export interface RequestRecord {
  readonly id: string
  /** The pattern of its route, once it has one. */
  route: string | null
  /** The tenant it acts for, once that is known. */
  tenantId: string | null
}

/** The request that runs. */
export const CurrentRequest = Context.Reference<RequestRecord>("solo/plugins/http/CurrentRequest", {
  defaultValue: () => ({ id: "-", route: null, tenantId: null }),
})

const acceptable = /^[A-Za-z0-9._:-]{1,128}$/

/**
 * Gives a request its id: the client's own when it is a sane one, else a fresh one. Ids are logged,
 * so that what looks like a token is none.
 */
export type NameRequest = (presented: string | undefined) => string

/** Fresh ids are a random prefix of this gateway and a counter: unique, and cheap to make. */
export const makeNameRequest: Effect.Effect<NameRequest> = Effect.gen(function* () {
  const high = yield* Random.nextIntBetween(0, 0x7fff_ffff)
  const low = yield* Random.nextIntBetween(0, 0x7fff_ffff)
  const prefix = `${high.toString(36)}${low.toString(36)}`
  let count = 0
  return (presented) =>
    presented !== undefined && acceptable.test(presented) && !holdsToken(presented)
      ? presented
      : `${prefix}-${(++count).toString(36)}`
})
