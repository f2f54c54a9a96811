/**
 * What must be true after any sequence of commands: a pure model of the promises. It knows what was
 * acknowledged; of what was not answered it knows that it happened as a whole or not at all.
 */
import * as Schema from "effect/Schema"

const tenant = Schema.Literals(["t1", "t2"])
const service = Schema.Literals(["a", "b"])

/** Deploys source `n` of a service: the same, or another, than what may run already. */
const Deploy = Schema.Struct({
  do: Schema.Literal("deploy"),
  tenant,
  service,
  n: Schema.Literals([1, 2]),
})
/** Kills a service. */
const Kill = Schema.Struct({ do: Schema.Literal("kill"), tenant, service })

/** Something a tenant asks for. */
export const Request = Schema.Union([Deploy, Kill])
/** @see {@link Request} */
export type Request = typeof Request.Type

/** A service crashes, a replay is asked for, the kernel ends cleanly, or its plug is pulled. */
export const Command = Schema.Union([
  Deploy,
  Kill,
  Deploy,
  Schema.Struct({ do: Schema.Literal("crash"), tenant, service }),
  Schema.Struct({ do: Schema.Literal("replay") }),
  Schema.Struct({ do: Schema.Literal("restart") }),
  Schema.Struct({ do: Schema.Literal("pull the plug") }),
  /** The plug is pulled so many turns of the scheduler after a request was made. */
  Schema.Struct({
    do: Schema.Literal("pull the plug during"),
    request: Request,
    turns: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })),
  }),
])
/** @see {@link Command} */
export type Command = typeof Command.Type

/** What a request came to, as its caller knows it. */
export type Answer =
  | { readonly _tag: "Done"; readonly created: boolean; readonly revision: number }
  | { readonly _tag: "Conflict" }
  | { readonly _tag: "NotFound" }
  /** Refused for the storage's sake: nothing has changed. */
  | { readonly _tag: "Refused" }
  /** No answer came. */
  | { readonly _tag: "Unknown" }

/** What may be true of one service: the source that runs, or that none does. */
export type Want = 1 | 2 | "none"

/** What is known. */
export interface Model {
  readonly possible: ReadonlyMap<string, ReadonlyArray<Want>>
  /** `deployed t/a@1` and `killed t/a@1`, as acknowledged. */
  readonly acknowledged: ReadonlyArray<string>
  readonly cleanEnds: number
  /** What an answer contradicted, if any did. */
  readonly contradiction: string | undefined
}

/** Nothing was ever asked for. */
export const nothing: Model = {
  possible: new Map(),
  acknowledged: [],
  cleanEnds: 0,
  contradiction: undefined,
}

/** The key of a request's service. */
const keyOf = (request: Request): string => `${request.tenant}/${request.service}`

/** What may be true of a service. */
export const possibleOf = (model: Model, key: string): ReadonlyArray<Want> =>
  model.possible.get(key) ?? ["none"]

const know = (model: Model, key: string, wants: ReadonlyArray<Want>, because: string): Model =>
  wants.length === 0
    ? { ...model, contradiction: `${key} was ${possibleOf(model, key).join(" or ")}: ${because}` }
    : { ...model, possible: new Map(model.possible).set(key, [...new Set(wants)]) }

const acknowledge = (model: Model, fact: string): Model => ({
  ...model,
  acknowledged: [...model.acknowledged, fact],
})

/** What is known after `request` was answered. */
export const answered = (model: Model, request: Request, answer: Answer): Model => {
  const key = keyOf(request)
  const before = possibleOf(model, key)
  const wanted: Want = request.do === "deploy" ? request.n : "none"
  const because = `${request.do} was answered ${answer._tag}`
  switch (answer._tag) {
    case "Refused":
      return model
    case "Unknown":
      return know(model, key, [...before, wanted], because)
    case "Conflict":
      return know(
        model,
        key,
        before.filter((want) => want !== "none" && want !== wanted),
        because,
      )
    case "NotFound":
      return know(
        model,
        key,
        before.filter((want) => want === "none"),
        because,
      )
    case "Done": {
      const was = before.filter((want) =>
        request.do === "kill" ? want !== "none" : answer.created || want === wanted,
      )
      if (was.length === 0) return know(model, key, [], because)
      const known = know(model, key, [wanted], because)
      const what = request.do === "kill" ? "killed" : "deployed"
      return request.do === "deploy" && !answer.created
        ? known
        : acknowledge(known, `${what} ${key}@${answer.revision}`)
    }
  }
}

/** What is known once it was seen which sources run, by service key. */
export const seen = (model: Model, running: ReadonlyMap<string, Want>): Model => ({
  ...model,
  possible: new Map([...model.possible.keys()].map((key) => [key, [running.get(key) ?? "none"]])),
})
