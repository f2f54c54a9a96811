/**
 * The declaration of the routes under `/v1/tokens`: granting, narrowing, checking, listing and
 * revoking tokens.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import {
  AttenuationRequest,
  Permission,
  RateLimit,
  ServiceId,
  TenantId,
  TokenHash,
  TokenMetadata,
  TokenRequest,
} from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { pageOf, pageQuery } from "./Page.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"
import { RequestBody } from "./RequestBody.ts"

const expiresAt = Schema.NullOr(Schema.String).annotate({
  description: "ISO 8601 in UTC; the first moment at which it is no longer good. null: never.",
})

const view = {
  tokenHash: TokenHash.annotate({
    description: "SHA-256 of the token: its name in lists, events and requests.",
  }),
  tenantId: TenantId,
  permissions: Schema.Array(Permission),
  serviceId: Schema.NullOr(ServiceId).annotate({
    description: "The only service it is good for; null for the whole tenant.",
  }),
  grantedAt: Schema.String.annotate({ description: "ISO 8601 in UTC." }),
  grantedBy: Schema.String.annotate({
    description: "The hash of the token it was made with, or `root`.",
  }),
  expiresAt,
  rateLimit: Schema.NullOr(RateLimit),
  metadata: TokenMetadata,
  parent: Schema.NullOr(TokenHash).annotate({
    description: "The token it was attenuated from, with which it dies; null for a granted one.",
  }),
  durable: Schema.Boolean.annotate({
    description:
      "false while storage fails and the token is in memory only: it is stored as soon as that works again.",
  }),
}

const View = Schema.Struct(view).annotate({ identifier: "Token" })

const Granted = Schema.Struct({
  token: Schema.String.annotate({
    description: "The secret. It is shown this once and kept nowhere.",
  }),
  ...view,
}).annotate({ identifier: "GrantedToken" })

const grantProblems = [
  "invalid-request",
  "would-widen",
  "too-many-tokens",
  "too-many-unstored",
  "event-too-large",
  "log-overloaded",
  "storage-unavailable",
  "storage-full",
  "request-timed-out",
] as const

const grant = HttpApiEndpoint.post("grant", "/v1/tokens", {
  payload: TokenRequest.annotate({ identifier: "TokenRequest" }),
  success: Granted.pipe(HttpApiSchema.status(201)),
  error: answers("tenant-required", ...grantProblems),
})
  .middleware(RequestBody)
  .annotate(RequiredPermission, needs("grant", "own"))
  .annotate(OpenApi.Summary, "Grant a token")
  .annotate(
    OpenApi.Description,
    "A new token of the tenant. The root token grants anything but `root`; another token no more than it holds itself. The new token has a life of its own: it stays good when the one it was granted with is revoked.",
  )

const attenuate = HttpApiEndpoint.post("attenuate", "/v1/tokens/attenuate", {
  payload: AttenuationRequest.annotate({ identifier: "AttenuationRequest" }),
  success: Granted.pipe(HttpApiSchema.status(201)),
  error: answers("root-not-attenuable", "attenuated-too-often", ...grantProblems),
})
  .middleware(RequestBody)
  .annotate(RequiredPermission, needs("self", "own"))
  .annotate(OpenApi.Summary, "Make a narrower token")
  .annotate(
    OpenApi.Description,
    "A token narrower than the one presented, in permissions, service, time or rate; what is left out stays as it is. Needs no permission but a good token. The new token dies with the one presented.",
  )

const verify = HttpApiEndpoint.post("verify", "/v1/tokens/verify", {
  success: Schema.Struct({
    valid: Schema.Literal(true),
    tenantId: Schema.NullOr(TenantId).annotate({ description: "null for the root token." }),
    serviceId: Schema.NullOr(ServiceId),
    permissions: Schema.Array(Permission),
    expiresAt,
  }).annotate({ identifier: "VerifiedToken" }),
})
  .annotate(RequiredPermission, needs("self", "own"))
  .annotate(OpenApi.Summary, "Check the token presented")
  .annotate(
    OpenApi.Description,
    "What the token presented is good for. One that is not good (mistyped, revoked, expired) is answered with 401, as everywhere. Counts as a presentation where the token has a rate limit. A body is ignored.",
  )

const list = HttpApiEndpoint.get("list", "/v1/tokens", {
  query: pageQuery,
  success: pageOf(View).annotate({ identifier: "TokenPage" }),
  error: answers("invalid-request", "tenant-required", "request-timed-out"),
})
  .annotate(RequiredPermission, needs("grant"))
  .annotate(OpenApi.Summary, "List tokens")
  .annotate(
    OpenApi.Description,
    "The tenant's good tokens in order of their hashes, in pages, never with their secrets.",
  )

const revoke = HttpApiEndpoint.delete("revoke", "/v1/tokens/:tokenHash", {
  params: { tokenHash: view.tokenHash },
  success: Schema.Struct({
    tokenHash: TokenHash,
    revoked: Schema.Int.annotate({
      description: "How many tokens are gone: this one and all attenuated from it.",
    }),
  }).annotate({ identifier: "RevokedToken" }),
  error: answers(
    "invalid-request",
    "tenant-required",
    "token-not-found",
    "log-overloaded",
    "storage-unavailable",
    "storage-full",
    "request-timed-out",
  ),
})
  .annotate(RequiredPermission, needs("grant"))
  .annotate(OpenApi.Summary, "Revoke a token")
  .annotate(
    OpenApi.Description,
    '200 when the token and all that were attenuated from it are gone for good, durably. On an error it is as good as before. The hash is what `printf %s "$TOKEN" | sha256sum` prints.',
  )

/** The group `tokens`. */
export class TokensApi extends HttpApiGroup.make("tokens")
  .add(grant, attenuate, verify, list, revoke)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Tokens")
  .annotate(
    OpenApi.Description,
    "Who may do what: grant, narrow, check, list and revoke tokens.",
  ) {}
