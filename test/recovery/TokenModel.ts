/**
 * Which tokens must be good after any sequence of grants, attenuations and revocations: a pure
 * model. A token that goes takes with it all that were made from it.
 */
import * as Schema from "effect/Schema"

import type { Capability } from "../../src/domain/Capability.ts"
import { know, type Possible, suppose, untouched } from "./Possible.ts"

const tenant = Schema.Literals(["t1", "t2"])
/** One of the tokens known, counted round and round. */
const nth = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))

/** Grants a token. */
export const Grant = Schema.Struct({ do: Schema.Literal("grant"), tenant })
/** Makes a narrower token from one that may be gone. */
export const Attenuate = Schema.Struct({ do: Schema.Literal("attenuate"), token: nth })
/** Revokes a token in the name of a tenant, which may not be its own. */
export const Revoke = Schema.Struct({ do: Schema.Literal("revoke"), tenant, token: nth })

/** Something asked of the capability manager. */
export type TokenRequest = typeof Grant.Type | typeof Attenuate.Type | typeof Revoke.Type

/** A token as it is listed. */
export interface Listed {
  readonly tenant: string
  readonly hash: string
  readonly parent: string | null
  readonly capability: Capability
}

/** A token, as whoever it was granted to knows it. */
interface Token extends Listed {
  readonly secret: string
}

/** What a grant came to. A token that is not durable is good, and may be gone after a crash. */
export interface Granted {
  readonly _tag: "Granted"
  readonly token: Token
  readonly durable: boolean
}

/** What may be true of one token. `unstored`: it is good, and may be gone after a crash. */
export type Fate = "good" | "unstored" | "gone"

/** What is known of tokens. */
export interface Tokens {
  readonly known: ReadonlyArray<Token | Listed>
  /** What may be true of each, by its hash. */
  readonly fates: Possible<Fate>
  /** The tenants of grants that were not answered: so many tokens more may be there. */
  readonly strangers: ReadonlyArray<string>
}

/** None was ever granted. */
export const noTokens: Tokens = { known: [], fates: untouched, strangers: [] }

/** The token that a request is about, if there is any. */
export const targetOf = ({ known }: Tokens, request: TokenRequest) =>
  request.do === "grant" ? undefined : known[request.token % Math.max(1, known.length)]

/** What may be true of a token. */
export const fatesOf = ({ fates }: Tokens, hash: string): ReadonlyArray<Fate> =>
  fates.situations.get(hash) ?? []

const withFates = (tokens: Tokens, hash: string, fates: ReadonlyArray<Fate>): Tokens => ({
  ...tokens,
  fates: suppose(tokens.fates, hash, fates),
})

const add = (tokens: Tokens, token: Token, durable: boolean): Tokens => ({
  ...withFates(tokens, token.hash, [durable ? "good" : "unstored"]),
  known: [...tokens.known, token],
})

/** A token is gone, or may be; so are all that were made from it. */
const fall = (tokens: Tokens, hash: string, surely: boolean): Tokens =>
  tokens.known
    .filter(({ parent }) => parent === hash)
    .reduce(
      (fallen, child) => fall(fallen, child.hash, surely),
      withFates(tokens, hash, surely ? ["gone"] : [...fatesOf(tokens, hash), "gone"]),
    )

const mustBe = (tokens: Tokens, hash: string, is: "good" | "gone", because: string): Tokens => {
  const before = fatesOf(tokens, hash)
  const after = before.filter((fate) => (fate === "gone") === (is === "gone"))
  const known = { ...tokens, fates: know(tokens.fates, hash, before, after, because) }
  return is === "gone" ? fall(known, hash, true) : known
}

const unanswered = (tokens: Tokens, request: TokenRequest): Tokens => {
  const target = targetOf(tokens, request)
  if (request.do === "revoke") {
    const isOwn = target?.tenant === request.tenant
    return isOwn ? fall(tokens, target.hash, false) : tokens
  }
  const owner = request.do === "grant" ? request.tenant : target?.tenant
  return owner === undefined ? tokens : { ...tokens, strangers: [...tokens.strangers, owner] }
}

/** What is known after a request that was carried out. */
const carriedOut = (
  tokens: Tokens,
  request: TokenRequest,
  answer: Granted | { readonly _tag: string },
  because: string,
): Tokens => {
  const target = targetOf(tokens, request)
  const known = target === undefined ? tokens : mustBe(tokens, target.hash, "good", because)
  if ("token" in answer) return add(known, answer.token, answer.durable)
  return target === undefined ? known : fall(known, target.hash, true)
}

/** What is known of tokens after `request` was answered. */
export const tokensAfter = (
  tokens: Tokens,
  request: TokenRequest,
  answer: Granted | { readonly _tag: string },
  because: string,
): Tokens => {
  const target = targetOf(tokens, request)
  const isForeign = request.do === "revoke" && target?.tenant !== request.tenant
  switch (answer._tag) {
    case "Refused":
      return tokens
    case "Unknown":
      return unanswered(tokens, request)
    case "NotFound":
      return target === undefined || isForeign
        ? tokens
        : mustBe(tokens, target.hash, "gone", because)
    default:
      return isForeign
        ? { ...tokens, fates: know(tokens.fates, "another tenant's token", [], [], because) }
        : carriedOut(tokens, request, answer, because)
  }
}

/**
 * What the log must have of a request that was carried out. Of a token that may never have been
 * stored it may have neither grant nor revocation; then nothing can come back.
 */
export const tokenEventOf = (
  tokens: Tokens,
  request: TokenRequest,
  answer: Granted | { readonly _tag: string },
): ReadonlyArray<string> => {
  if ("token" in answer) {
    return answer.durable ? [`capability_granted ${answer.token.tenant}/${answer.token.hash}`] : []
  }
  const target = targetOf(tokens, request)
  return answer._tag === "Done" &&
    target !== undefined &&
    !fatesOf(tokens, target.hash).includes("unstored")
    ? [`capability_revoked ${target.tenant}/${target.hash}`]
    : []
}

/** What is known once it was seen which tokens there are. */
export const tokensSeen = (tokens: Tokens, listed: ReadonlyArray<Listed>): Tokens => {
  const here = new Set(listed.map(({ hash }) => hash))
  const known = new Set(tokens.known.map(({ hash }) => hash))
  const strangers = listed.filter(({ hash }) => !known.has(hash))
  const all = [...tokens.known, ...strangers]
  return {
    known: all,
    fates: {
      ...tokens.fates,
      situations: new Map(all.map(({ hash }) => [hash, [here.has(hash) ? "good" : "gone"]])),
    },
    strangers: [],
  }
}
