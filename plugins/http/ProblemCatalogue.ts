/**
 * Every kind of problem the gateway answers with: its stable type, status, title and meaning.
 * Clients branch on `type`; a name here is never reused for something else.
 */

/** What one kind of problem says. */
interface ProblemKind {
  readonly status: number
  readonly title: string
  /** When it happens and what to do about it, for the API's pages. */
  readonly about: string
  /** Seconds after which trying again makes sense; sent as `Retry-After`. */
  readonly retryAfter?: number
}

const kind = (status: number, title: string, about: string, retryAfter?: number): ProblemKind =>
  retryAfter === undefined ? { status, title, about } : { status, title, about, retryAfter }

/** The catalogue, by name. The `type` of a problem is `urn:solo:problem:` and its name. */
export const problemKinds = {
  "invalid-request": kind(
    400,
    "The request is not valid",
    "Something in the path, query, headers or body does not have the shape that is documented. `errors` names each of them.",
  ),
  "malformed-body": kind(
    400,
    "The body is not JSON",
    "The body must be one JSON document in UTF-8.",
  ),
  "root-not-attenuable": kind(
    400,
    "The root token cannot be narrowed",
    "Grant a token with it instead (POST /v1/tokens).",
  ),
  "malformed-http": kind(
    400,
    "The request is not HTTP",
    "What arrived does not follow HTTP/1.1, or can be read in more than one way. The connection is closed.",
  ),
  "tenant-required": kind(
    400,
    "No tenant named",
    "A root token acts for a tenant only when X-Tenant-ID names it.",
  ),
  unauthenticated: kind(
    401,
    "No valid token",
    "Send `Authorization: Bearer <token>` with a token of this kernel.",
  ),
  forbidden: kind(
    403,
    "Not permitted",
    "The token does not hold the permission that is needed, or not here: it is bound to one service, or belongs to another tenant than X-Tenant-ID names.",
  ),
  "would-widen": kind(
    403,
    "The token would be wider",
    "A token can give no more than it holds itself: permission, service, time and rate. `detail` says which it was.",
  ),
  "route-not-found": kind(404, "No such route", "The API has nothing at this path."),
  "service-not-found": kind(404, "No such service", "The tenant has no service of this name."),
  "token-not-found": kind(404, "No such token", "The tenant has no good token of this hash."),
  "secret-not-found": kind(404, "No such secret", "The tenant has no secret of this name."),
  "verification-not-found": kind(
    404,
    "No verification yet",
    "This kernel process has not finished a verification yet; POST /v1/verification makes one.",
  ),
  "report-not-found": kind(
    404,
    "No recovery yet",
    "This kernel process has not finished a recovery yet; /health/ready shows its progress.",
  ),
  "method-not-allowed": kind(
    405,
    "Method not allowed",
    "The path exists, but not with this method. `Allow` lists those that do.",
  ),
  "request-timeout": kind(
    408,
    "The request took too long to arrive",
    "Headers or body were not sent in time. The connection is closed.",
  ),
  "service-conflict": kind(
    409,
    "Another spec runs under this id",
    "Swap it with PUT, kill the service first, or choose another id.",
  ),
  "deployment-ended": kind(
    409,
    "The deployment was ended",
    "Before the service had started there came a kill, a rollback or a newer deployment; `detail` says which. Nothing of this one is left.",
  ),
  "swap-in-progress": kind(
    409,
    "A hot swap is under way",
    "Wait until it is committed or rolled back, or end it: POST its rollback.",
    1,
  ),
  "swap-failed": kind(
    409,
    "The new revision did not take over",
    "It did not answer its health path, or the swap was ended; `detail` says which. The service is what it was before.",
  ),
  "swap-rolled-back": kind(
    409,
    "The new revision was rolled back",
    "It took over and crashed within the rollback window, or the swap was ended; `detail` says which. The revision before it is back.",
  ),
  "no-previous-revision": kind(
    409,
    "There is nothing to roll back to",
    "The service has had one revision only since it was deployed, or since it was last killed.",
  ),
  "key-fixed": kind(
    409,
    "The key is not the kernel's to replace",
    "It was given to the kernel from outside and has to be replaced there; `detail` says how.",
  ),
  "body-too-large": kind(413, "The body is too large", "Send less; `detail` names the bound."),
  "source-too-large": kind(
    413,
    "The source is too large",
    "A service's source text has an upper bound; `detail` names it.",
  ),
  "event-too-large": kind(
    413,
    "The spec is too large for the log",
    "What the event log must keep of the spec, such as `env`, has an upper bound.",
  ),
  "secret-too-large": kind(
    413,
    "The secret is too large",
    "A secret has an upper bound; `detail` names it.",
  ),
  "unsupported-media-type": kind(
    415,
    "The body has the wrong type",
    "Send `Content-Type: application/json`, without content encoding.",
  ),
  "expectation-failed": kind(
    417,
    "The expectation cannot be met",
    "`Expect` knows only `100-continue`.",
  ),
  "source-invalid": kind(
    422,
    "The source does not compile",
    "`line`, `column` and `detail` say where and why.",
  ),
  "start-failed": kind(
    422,
    "The service did not start",
    "Its module or its `start` threw; `detail` is what it threw. Nothing was deployed.",
  ),
  "start-timed-out": kind(
    422,
    "The service did not start in time",
    "`start` must return within `limits.startupTimeoutMs`. Nothing was deployed.",
  ),
  "attenuated-too-often": kind(
    422,
    "The token was attenuated too often",
    "Attenuate a token that is nearer to the granted one.",
  ),
  "rate-exceeded": kind(
    429,
    "The token is presented too often",
    "The token, or one it was made from, has a rate limit. `Retry-After` says when it is good again.",
    1,
  ),
  "tenant-overloaded": kind(
    429,
    "Too many requests of the tenant",
    "As many requests of one tenant are in flight as may be, or as leave room for other tenants.",
    1,
  ),
  "too-many-tokens": kind(
    429,
    "Too many tokens",
    "The tenant has as many tokens as it may; revoke some, or let them expire.",
    60,
  ),
  "too-many-secrets": kind(
    429,
    "Too many secrets",
    "The tenant has as many secrets as it may; revoke one first.",
    60,
  ),
  "too-many-services": kind(
    429,
    "Too many services",
    "The tenant or the kernel runs as many services as it may; kill one first.",
    10,
  ),
  "too-many-swaps": kind(
    429,
    "Too many hot swaps",
    "The tenant has as many hot swaps under way as it may; wait for one, or give them shorter rollback windows.",
    1,
  ),
  "headers-too-large": kind(
    431,
    "The headers are too large",
    "Request line and headers together have an upper bound, for a service also the number of headers. The connection is closed where they were not read to their end.",
  ),
  "internal-error": kind(
    500,
    "The kernel made a mistake",
    "This is a defect. The kernel's log has its cause under the same `requestId`.",
  ),
  "artifact-damaged": kind(
    500,
    "The source is damaged",
    "The source of the previous revision is missing or not what was deployed. PUT it instead.",
  ),
  "secret-damaged": kind(
    500,
    "The vault is damaged",
    "What is stored does not open. `detail` says what to store again or to restore.",
  ),
  "not-implemented": kind(
    501,
    "Not implemented",
    "CONNECT, and bodies with another transfer coding than `chunked`, are beyond this gateway.",
  ),
  "service-failed": kind(
    502,
    "The service failed",
    "The service threw, ended before it had answered, or answered with something that is no response. What it did of the request by then is its own.",
  ),
  "service-not-running": kind(
    503,
    "The service is not running",
    "It is starting, restarting, stopped or has given up; its status says which. Nothing of the request has reached it.",
    1,
  ),
  "service-overloaded": kind(
    503,
    "The service is overloaded",
    "It answers as many requests as it may at once.",
    1,
  ),
  "log-overloaded": kind(
    503,
    "The event log is overloaded",
    "Too many changes are waiting to be made durable. Nothing was changed.",
    1,
  ),
  "kernel-overloaded": kind(
    503,
    "Too many requests",
    "As many requests are in flight as the kernel takes at once.",
    1,
  ),
  "too-many-unstored": kind(
    503,
    "Too many tokens wait for storage",
    "Storage fails, and as many tokens as may wait for it already do. Nothing was granted.",
    5,
  ),
  "storage-unavailable": kind(
    503,
    "Storage failed",
    "The database did not do what was asked. Nothing was changed.",
    5,
  ),
  "kernel-stopping": kind(
    503,
    "The kernel is stopping",
    "It takes no new requests; try again when it is back.",
    5,
  ),
  "too-many-streams": kind(
    503,
    "Too many event streams",
    "As many event streams are open as may be; close one, or read pages instead.",
    5,
  ),
  "service-timed-out": kind(
    504,
    "The service took too long",
    "It did not begin its response within `limits.requestTimeoutMs`.",
  ),
  "request-timed-out": kind(
    504,
    "The kernel took too long",
    "The call was given up; look at the service's status before trying again.",
  ),
  "storage-full": kind(
    507,
    "The disk is full",
    "Nothing was changed. Free space on the data directory's disk and try again.",
    30,
  ),
} as const satisfies Record<string, ProblemKind>

/** The name of a kind of problem. */
export type ProblemName = keyof typeof problemKinds

/** One kind of problem by its name. */
export const problemKind = (name: ProblemName): ProblemKind => problemKinds[name]

/** The stable `type` of a kind of problem. */
export const problemType = (name: ProblemName): string => `urn:solo:problem:${name}`
