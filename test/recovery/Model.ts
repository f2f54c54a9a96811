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

/** Swaps a service for source `n`. */
const Swap = Schema.Struct({
  do: Schema.Literal("swap"),
  tenant,
  service,
  n: Schema.Literals([1, 2]),
})
/** Swaps a service back to the source before. */
const Rollback = Schema.Struct({ do: Schema.Literal("rollback"), tenant, service })

/** Something a tenant asks for. */
export const Request = Schema.Union([Deploy, Kill, Swap, Rollback])
/** @see {@link Request} */
export type Request = typeof Request.Type

/** A service crashes, a replay is asked for, the kernel ends cleanly, or its plug is pulled. */
export const Command = Schema.Union([
  Deploy,
  Kill,
  Swap,
  Rollback,
  Deploy,
  Schema.Struct({ do: Schema.Literal("crash"), tenant, service }),
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
  | { readonly _tag: "Done"; readonly created: boolean; readonly revision: number }
  | { readonly _tag: "Conflict" }
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "NoPrevious" }
  /** Refused for the storage's sake: nothing has changed. */
  | { readonly _tag: "Refused" }
  /** No answer came. */
  | { readonly _tag: "Unknown" }

type Source = 1 | 2

/** What may be seen of one service: the source that runs, or that none does. */
export type Want = Source | "none"

/** What may be true of one service. */
interface Situation {
  readonly runs: Want
  /** What a rollback brings back. */
  readonly previous: Source | null
}

/** What is known. */
export interface Model {
  readonly possible: ReadonlyMap<string, ReadonlyArray<Situation>>
  /** `deployed t/a@1`, `killed t/a@1` and `is t/a@1`, as acknowledged. */
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

const gone: Situation = { runs: "none", previous: null }

/** The key of a request's service. */
const keyOf = (request: Request): string => `${request.tenant}/${request.service}`

const situationsOf = (model: Model, key: string): ReadonlyArray<Situation> =>
  model.possible.get(key) ?? [gone]

/** What may be seen of a service. */
export const possibleOf = (model: Model, key: string): ReadonlyArray<Want> =>
  situationsOf(model, key).map(({ runs }) => runs)

const turnTo = ({ runs, previous }: Situation, n: Source): Situation => ({
  runs: n,
  previous: runs === "none" ? null : runs === n ? previous : runs,
})

/** What a request comes to in a situation when nothing goes wrong. */
const outcomeOf = (
  request: Request,
  now: Situation,
): {
  readonly answer: Exclude<Answer["_tag"], "Refused" | "Unknown">
  readonly after: Situation
} => {
  if (request.do === "deploy") {
    const conflicts = now.runs !== "none" && now.runs !== request.n
    return conflicts
      ? { answer: "Conflict", after: now }
      : { answer: "Done", after: turnTo(now, request.n) }
  }
  if (now.runs === "none") return { answer: "NotFound", after: now }
  switch (request.do) {
    case "kill":
      return { answer: "Done", after: gone }
    case "swap":
      return { answer: "Done", after: turnTo(now, request.n) }
    case "rollback":
      return now.previous === null
        ? { answer: "NoPrevious", after: now }
        : { answer: "Done", after: { runs: now.previous, previous: now.runs } }
  }
}

const know = (
  model: Model,
  key: string,
  situations: ReadonlyArray<Situation>,
  because: string,
): Model => {
  if (situations.length === 0) {
    const before = JSON.stringify(situationsOf(model, key))
    return { ...model, contradiction: `${key} was one of ${before}: ${because}` }
  }
  const different = new Map(situations.map((one) => [`${one.runs} ${one.previous}`, one]))
  return { ...model, possible: new Map(model.possible).set(key, [...different.values()]) }
}

const acknowledge = (model: Model, fact: string): Model => ({
  ...model,
  acknowledged: [...model.acknowledged, fact],
})

/** What is known after `request` was acknowledged. */
const done = (
  model: Model,
  request: Request,
  { created, revision }: Extract<Answer, { readonly _tag: "Done" }>,
  because: string,
): Model => {
  const key = keyOf(request)
  const before = situationsOf(model, key)
  if (request.do === "deploy") {
    // What the log has and nobody could start is replaced without a conflict.
    const from = before.filter(({ runs }) => (runs === request.n) !== created)
    const after = from.map((now) => turnTo(now, request.n))
    const known = know(model, key, after, because)
    return created ? acknowledge(known, `deployed ${key}@${revision}`) : known
  }
  const after = before.flatMap((now) => {
    const outcome = outcomeOf(request, now)
    return outcome.answer === "Done" ? [outcome.after] : []
  })
  const what = request.do === "kill" ? "killed" : "is"
  return acknowledge(know(model, key, after, because), `${what} ${key}@${revision}`)
}

/** What is known after `request` was answered. */
export const answered = (model: Model, request: Request, answer: Answer): Model => {
  const key = keyOf(request)
  const before = situationsOf(model, key)
  const because = `${JSON.stringify(request)} was answered ${JSON.stringify(answer)}`
  switch (answer._tag) {
    case "Refused":
      return model
    case "Unknown": {
      const after = before.map((now) => outcomeOf(request, now).after)
      return know(model, key, [...before, ...after], because)
    }
    case "Done":
      return done(model, request, answer, because)
    default: {
      const fits = before.filter((now) => outcomeOf(request, now).answer === answer._tag)
      return know(model, key, fits, because)
    }
  }
}

/** What is known once it was seen which sources run, by service key. */
export const seen = (model: Model, running: ReadonlyMap<string, Want>): Model => ({
  ...model,
  possible: new Map(
    [...model.possible].map(([key, situations]) => {
      const runs = running.get(key) ?? "none"
      return [key, situations.filter((one) => one.runs === runs)]
    }),
  ),
})
