/**
 * What must be true after any sequence of commands: a pure model of the promises. It knows what was
 * acknowledged; of what was not answered it knows that it happened as a whole or not at all. Each
 * kind of thing has a model of its own; nothing of one tenant or kind changes another.
 */
import * as Schema from "effect/Schema"

import { untouched } from "./Possible.ts"
import {
  type Changed,
  Deploy,
  factOf,
  Kill,
  Rollback,
  type Services,
  servicesAfter,
  servicesSeen,
  Swap,
} from "./ServiceModel.ts"
import type { Sight } from "./Sight.ts"
import {
  Clear,
  eventOf,
  Secret,
  type Stores,
  storesAfter,
  storesSeen,
  Write,
} from "./StoreModel.ts"
import {
  Attenuate,
  Grant,
  type Granted,
  noTokens,
  Revoke,
  tokenEventOf,
  type Tokens,
  tokensAfter,
  tokensSeen,
} from "./TokenModel.ts"

const requests = [
  Deploy,
  Kill,
  Swap,
  Rollback,
  Write,
  Clear,
  Secret,
  Grant,
  Attenuate,
  Revoke,
] as const

/** Something a tenant asks for. */
export const Request = Schema.Union(requests)
/** @see {@link Request} */
export type Request = typeof Request.Type

/** A service crashes, a replay is asked for, the kernel ends cleanly, or its plug is pulled. */
export const Command = Schema.Union([
  ...requests,
  Deploy,
  Write,
  Schema.Struct({
    do: Schema.Literal("crash"),
    tenant: Kill.fields.tenant,
    service: Kill.fields.service,
  }),
  Schema.Struct({ do: Schema.Literal("replay") }),
  Schema.Struct({ do: Schema.Literal("restart") }),
  Schema.Struct({ do: Schema.Literal("pull the plug") }),
  /** The plug is pulled so many turns of the scheduler after a request was made. */
  Schema.Struct({
    do: Schema.Literal("pull the plug during"),
    request: Request,
    turns: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 120 })),
  }),
])
/** @see {@link Command} */
export type Command = typeof Command.Type

/** What a request came to, as its caller knows it. */
export type Answer =
  | Changed
  | Granted
  | { readonly _tag: "Done" }
  | { readonly _tag: "Conflict" }
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "NoPrevious" }
  /** Refused for the storage's sake: nothing has changed. */
  | { readonly _tag: "Refused" }
  /** No answer came. */
  | { readonly _tag: "Unknown" }

/** What is known. */
export interface Model {
  readonly services: Services
  readonly stores: Stores
  readonly tokens: Tokens
  /** What the log must have, as acknowledged: `killed t/a@1`, `secret_stored t/secret`. */
  readonly acknowledged: ReadonlyArray<string>
  readonly cleanEnds: number
}

/** Nothing was ever asked for. */
export const nothing: Model = {
  services: untouched,
  stores: untouched,
  tokens: noTokens,
  acknowledged: [],
  cleanEnds: 0,
}

/** What is known after `request` was answered. */
export const answered = (model: Model, request: Request, answer: Answer): Model => {
  const because = `${JSON.stringify(request)} was answered ${JSON.stringify(answer)}`
  const acknowledge = (facts: ReadonlyArray<string>) => [...model.acknowledged, ...facts]
  switch (request.do) {
    case "deploy":
    case "kill":
    case "swap":
    case "rollback":
      return {
        ...model,
        services: servicesAfter(model.services, request, answer, because),
        acknowledged: acknowledge(answer._tag === "Changed" ? factOf(request, answer) : []),
      }
    case "write":
    case "clear":
    case "secret":
      return {
        ...model,
        stores: storesAfter(model.stores, request, answer, because),
        acknowledged: acknowledge(answer._tag === "Done" ? eventOf(request) : []),
      }
    case "grant":
    case "attenuate":
    case "revoke":
      return {
        ...model,
        tokens: tokensAfter(model.tokens, request, answer, because),
        acknowledged: acknowledge(tokenEventOf(model.tokens, request, answer)),
      }
  }
}

/** What answers contradicted. */
export const contradictionsOf = ({ services, stores, tokens }: Model): ReadonlyArray<string> =>
  [services, stores, tokens.fates].flatMap(({ contradiction }) => contradiction ?? [])

/** What is known once it was seen what there is. */
export const seen = (model: Model, { running, held, tokens }: Sight): Model => ({
  ...model,
  services: servicesSeen(model.services, running),
  stores: storesSeen(model.stores, held),
  tokens: tokensSeen(model.tokens, tokens),
})
