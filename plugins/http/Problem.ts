/**
 * A problem as a value: what a handler fails with, and how that looks on the wire (RFC 9457).
 * Which problems exist is the catalogue's business, which failure becomes which problem is
 * `Failures`'.
 */
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { withoutTokens } from "solo"

import { problemKind, problemKinds, type ProblemName, problemType } from "./ProblemCatalogue.ts"

/** One field that is wrong. */
export const FieldError = Schema.Struct({
  path: Schema.Array(Schema.Union([Schema.String, Schema.Int])).annotate({
    description: "Where: `params`, `query`, `headers` or `payload`, then keys and indices.",
  }),
  message: Schema.String.annotate({ description: "What was expected there." }),
})
/** @see {@link FieldError} */
export type FieldError = typeof FieldError.Type

const names = Object.keys(problemKinds) as ReadonlyArray<ProblemName>

/** Why a request was not carried out, for its sender. Never holds a token or an internal. */
export class Problem extends Schema.TaggedError<Problem>()("Problem", {
  problem: Schema.Literals(names),
  detail: Schema.String,
  errors: Schema.optionalKey(Schema.Array(FieldError)),
  line: Schema.optionalKey(Schema.Int),
  column: Schema.optionalKey(Schema.Int),
  /** Methods the path has, for `method-not-allowed`. */
  allow: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Seconds after which to try again, where that is known better than the catalogue does. */
  retryAfter: Schema.optionalKey(Schema.Int),
}) {
  override get message(): string {
    return this.detail
  }
}

/** A problem without further members. */
export const problem = (name: ProblemName, detail: string): Problem =>
  new Problem({ problem: name, detail })

/** What a client may have put in the wrong place is not repeated to it, where it is a token. */
const fieldWithoutTokens = ({ message, path }: FieldError): FieldError => ({
  path: path.map((part) => (typeof part === "string" ? withoutTokens(part) : part)),
  message: withoutTokens(message),
})

/** The body of a problem's response, without whatever looks like a token. */
export const problemBody = (problem: Problem, requestId: string) => {
  const kind = problemKind(problem.problem)
  return {
    type: problemType(problem.problem),
    title: kind.title,
    status: kind.status,
    detail: withoutTokens(problem.detail),
    requestId,
    ...(problem.errors === undefined ? {} : { errors: problem.errors.map(fieldWithoutTokens) }),
    ...(problem.line === undefined ? {} : { line: problem.line }),
    ...(problem.column === undefined ? {} : { column: problem.column }),
  }
}

/** Headers that go with a problem, beside those of every response. */
const problemHeaders = (problem: Problem): Record<string, string> => {
  const retryAfter = problem.retryAfter ?? problemKind(problem.problem).retryAfter
  return {
    ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
    ...(problem.problem === "unauthenticated" ? { "www-authenticate": 'Bearer realm="solo"' } : {}),
    // What is left of the body is not waited for.
    ...(problem.problem === "request-timeout" ? { connection: "close" } : {}),
    ...(problem.allow === undefined ? {} : { allow: problem.allow.join(", ") }),
  }
}

/** The response to a request that failed with `problem`. */
export const problemResponse = (
  problem: Problem,
  requestId: string,
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify(problemBody(problem, requestId)), {
    status: problemKind(problem.problem).status,
    contentType: ProblemDetails.contentType,
    headers: { ...problemHeaders(problem), "x-request-id": requestId },
  })

/** Described, but left out of the type: nothing here decodes a problem. */
const extraMembers = (name: ProblemName): object => {
  if (name === "invalid-request") return { errors: Schema.Array(FieldError) }
  return name === "source-invalid" ? { line: Schema.Int, column: Schema.Int } : {}
}

const members = (name: ProblemName) => ({
  type: Schema.Literal(problemType(name)),
  title: Schema.Literal(problemKind(name).title),
  status: Schema.Literal(problemKind(name).status),
  detail: Schema.String.annotate({ description: "What went wrong this time, and what helps." }),
  requestId: Schema.String.annotate({ description: "As in X-Request-Id and in the kernel's log." }),
  ...extraMembers(name),
})

const describe = (name: ProblemName): Schema.Codec<Problem, unknown> =>
  Schema.Struct(members(name))
    .annotate({
      identifier: name
        .split("-")
        .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
        .join(""),
      description: problemKind(name).about,
    })
    .pipe(
      Schema.decodeTo(
        Schema.toType(Problem),
        SchemaTransformation.transform({
          decode: (body) => problem(name, body.detail),
          encode: (value) => problemBody(value, "") as never,
        }),
      ),
      HttpApiSchema.asJson({ contentType: ProblemDetails.contentType }),
      HttpApiSchema.status(problemKind(name).status),
    )

const described = new Map<ProblemName, Schema.Codec<Problem, unknown>>()

/** Declares which problems an endpoint may answer with. */
export const answers = (
  ...names: ReadonlyArray<ProblemName>
): Array<Schema.Codec<Problem, unknown>> =>
  names.map((name) => {
    const schema = described.get(name) ?? describe(name)
    described.set(name, schema)
    return schema
  })
