/**
 * Which failure becomes which problem: the kernel's typed errors, requests that do not decode,
 * routes that do not exist, and defects. Only defects are logged; they never reach the client.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { HttpApiSchemaError } from "effect/http-api/HttpApiError"
import * as HttpServerError from "effect/http/HttpServerError"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as SchemaIssue from "effect/SchemaIssue"
import type {
  AppendError,
  DeployError,
  Forbidden,
  GrantError,
  IngressError,
  InvalidToken,
  KillError,
  MasterKeysKept,
  RateExceeded,
  RollbackError,
  RootNotAttenuable,
  RootTokenKept,
  SecretNotFound,
  ServiceNotFound,
  StoreSecretError,
  TokenNotFound,
  TooDeep,
} from "solo"
import { withoutTokens } from "solo"

import { CurrentRequest } from "./CurrentRequest.ts"
import { type FieldError, Problem, problem, problemResponse } from "./Problem.ts"
import type { ProblemName } from "./ProblemCatalogue.ts"

/** Every typed failure of the kernel that a request can meet. */
export type KernelError =
  | DeployError
  | KillError
  | RollbackError
  | IngressError
  | AppendError
  | ServiceNotFound
  | InvalidToken
  | RateExceeded
  | Forbidden
  | GrantError
  | TooDeep
  | RootNotAttenuable
  | TokenNotFound
  | StoreSecretError
  | SecretNotFound
  | RootTokenKept
  | MasterKeysKept

type Special =
  | "StorageError"
  | "CompileFailed"
  | "NotRunning"
  | "RateExceeded"
  | "RootTokenKept"
  | "MasterKeysKept"

const ingressNames: Record<IngressError["_tag"], ProblemName> = {
  ServiceNotFound: "service-not-found",
  RequestTimedOut: "service-timed-out",
  ServiceThrew: "service-failed",
  NotRunning: "service-not-running",
  Overloaded: "service-overloaded",
  HeadTooLarge: "headers-too-large",
}

/** The problems that `Ingress` has with a request. */
export const ingressProblems: ReadonlyArray<ProblemName> = Object.values(ingressNames)

const names: Record<Exclude<KernelError["_tag"], Special>, ProblemName> = {
  ...ingressNames,
  InvalidToken: "unauthenticated",
  Forbidden: "forbidden",
  WouldWiden: "would-widen",
  TooManyTokens: "too-many-tokens",
  TooManyUnstored: "too-many-unstored",
  TooDeep: "attenuated-too-often",
  RootNotAttenuable: "root-not-attenuable",
  TokenNotFound: "token-not-found",
  SecretTooLarge: "secret-too-large",
  TooManySecrets: "too-many-secrets",
  SecretNotFound: "secret-not-found",
  DataKeyDamaged: "secret-damaged",
  ServiceConflict: "service-conflict",
  SourceTooLarge: "source-too-large",
  TooManyServices: "too-many-services",
  StartFailed: "start-failed",
  StartTimedOut: "start-timed-out",
  DeploymentEnded: "deployment-ended",
  SwapInProgress: "swap-in-progress",
  TooManySwaps: "too-many-swaps",
  SwapFailed: "swap-failed",
  SwapRolledBack: "swap-rolled-back",
  NoPreviousRevision: "no-previous-revision",
  ArtifactDamaged: "artifact-damaged",
  KernelStopping: "kernel-stopping",
  LogClosed: "kernel-stopping",
  LogOverloaded: "log-overloaded",
  EventTooLarge: "event-too-large",
}

/** The problem that a failure of the kernel is for the client. */
export const fromKernel = (error: KernelError): Problem => {
  switch (error._tag) {
    case "StorageError":
      return problem(error.fault === "full" ? "storage-full" : "storage-unavailable", error.message)
    case "CompileFailed":
      return new Problem({
        problem: "source-invalid",
        detail: error.message,
        line: error.line,
        column: error.column,
      })
    case "RateExceeded":
      return new Problem({
        problem: "rate-exceeded",
        detail: error.message,
        retryAfter: Math.max(1, Math.ceil(error.retryAfterMs / 1000)),
      })
    case "NotRunning":
      // Only what has not reached the service is to be tried again.
      return problem(
        error.undelivered === true ? "service-not-running" : "service-failed",
        error.message,
      )
    case "RootTokenKept":
    case "MasterKeysKept":
      return problem(error.reason === "fixed" ? "key-fixed" : "storage-unavailable", error.message)
    default:
      return problem(names[error._tag], error.message)
  }
}

/** As many wrong fields as one answer names. */
const maxFieldErrors = 50
/** As many characters as the message about one field may have. */
const maxMessageLength = 300

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

// Before it is cut: half a token would not look like one.
const cut = (text: string): string => withoutTokens(text).slice(0, maxMessageLength)

const segment = (key: PropertyKey | { readonly key: PropertyKey }): string | number => {
  const plain = typeof key === "object" ? key.key : key
  return typeof plain === "number" ? plain : cut(String(plain))
}

const fieldErrors = (slot: string, issue: SchemaIssue.Issue): ReadonlyArray<FieldError> =>
  formatIssue(issue)
    .issues.slice(0, maxFieldErrors)
    .map(({ message, path }) => ({
      path: [slot, ...(path ?? []).map(segment)],
      message: cut(message),
    }))

/** A request whose fields are wrong. */
export const invalidRequest = (errors: ReadonlyArray<FieldError>): Problem =>
  new Problem({
    problem: "invalid-request",
    detail: errors.map(({ message, path }) => `${path.join(".")}: ${message}`).join("; "),
    errors,
  })

/** The problem that an error from Effect's own HTTP machinery is, or `undefined` for a defect. */
const fromMachinery = (error: unknown): Problem | undefined => {
  if (error instanceof Problem) return error
  if (HttpApiSchemaError.is(error)) {
    return error.kind === "Body" || error.kind === "ResponseHeaders"
      ? undefined
      : invalidRequest(fieldErrors(error.kind.toLowerCase(), error.cause.issue))
  }
  if (HttpServerError.isHttpServerError(error)) {
    switch (error.reason._tag) {
      case "RouteNotFound":
        return problem("route-not-found", "there is no such route; GET /openapi.json lists all")
      case "RequestParseError":
        return error.reason.reason === "BodyTooLarge"
          ? problem("body-too-large", "the body is larger than this route takes")
          : problem("malformed-body", "the body could not be read to its end")
      default:
        return undefined
    }
  }
  return undefined
}

/**
 * Replaces whatever is said about a body by `expected`: where a client may have put a secret in the
 * wrong place, not even the names of its fields are repeated.
 */
export const withoutEcho =
  (expected: string) =>
  (cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
    Cause.hasInterruptsOnly(cause) || !isBodyMistake(Cause.squash(cause))
      ? cause
      : Cause.fail(invalidRequest([{ path: ["payload"], message: expected }]))

const isBodyMistake = (error: unknown): boolean =>
  HttpApiSchemaError.is(error) && error.kind === "Payload"

/** The problem inside `cause`, or `undefined` when the cause is a defect or an interruption. */
export const problemOf = (cause: Cause.Cause<unknown>): Problem | undefined => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Interrupt") continue
    const found = fromMachinery(reason._tag === "Fail" ? reason.error : reason.defect)
    if (found !== undefined) return found
  }
  return undefined
}

/** Answers a request that failed. Interruptions stay what they are. */
export const respondToFailure = (
  cause: Cause.Cause<unknown>,
): Effect.Effect<HttpServerResponse> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  const found = problemOf(cause)
  return Effect.flatMap(CurrentRequest, ({ id: requestId }) =>
    found === undefined
      ? Effect.as(
          Effect.annotateLogs(Effect.logError("a request met a defect", cause), { requestId }),
          problemResponse(
            problem("internal-error", "the kernel's log has the cause under this requestId"),
            requestId,
          ),
        )
      : Effect.succeed(problemResponse(found, requestId)),
  )
}
