/**
 * The declaration of the routes under `/v1/secrets`: storing, listing and revoking a tenant's
 * secrets. No route answers a value.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { GivenSecretName, SecretName } from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { pageOf, pageQuery } from "./Page.ts"
import { answers } from "./Problem.ts"
import { ConfidentialBody, ProblemDetails } from "./ProblemDetails.ts"
import { RequestBody } from "./RequestBody.ts"

const params = {
  name: SecretName.annotate({ description: "The secret's name within its tenant." }),
}

// An older one, named when tokens were not refused, can still be revoked.
const givenParams = {
  name: GivenSecretName.annotate({ description: "The secret's name within its tenant." }),
}

const Existence = Schema.Struct({ name: SecretName, exists: Schema.Boolean }).annotate({
  identifier: "SecretExistence",
})

const storageProblems = ["storage-unavailable", "storage-full", "request-timed-out"] as const

const put = HttpApiEndpoint.put("put", "/v1/secrets/:name", {
  params: givenParams,
  payload: Schema.Struct({
    value: Schema.RedactedFromValue(Schema.String, { label: "secret" }),
  }).annotate({ identifier: "SecretValue" }),
  success: Existence,
  error: answers(
    "invalid-request",
    "tenant-required",
    "secret-too-large",
    "too-many-secrets",
    "secret-damaged",
    "event-too-large",
    "log-overloaded",
    ...storageProblems,
  ),
})
  .middleware(RequestBody)
  .annotate(ConfidentialBody, 'Expected an object with one field, "value", a text')
  .annotate(RequiredPermission, needs("secrets"))
  .annotate(OpenApi.Summary, "Store a secret")
  .annotate(
    OpenApi.Description,
    "Gives a secret its first or a new value, sealed on disk; 200 when it is durable. At most 64 KiB of UTF-8. A service may read it when its spec names it in `secrets`. Nothing of the body is ever repeated in an answer.",
  )

const get = HttpApiEndpoint.get("get", "/v1/secrets/:name", {
  params: givenParams,
  success: Existence,
  error: answers("invalid-request", "tenant-required", ...storageProblems),
})
  .annotate(RequiredPermission, needs("secrets"))
  .annotate(OpenApi.Summary, "Ask whether a secret exists")
  .annotate(OpenApi.Description, "Whether the tenant has a secret of this name; never its value.")

const revoke = HttpApiEndpoint.delete("revoke", "/v1/secrets/:name", {
  params,
  success: Existence,
  error: answers(
    "invalid-request",
    "tenant-required",
    "secret-not-found",
    "log-overloaded",
    ...storageProblems,
  ),
})
  .annotate(RequiredPermission, needs("secrets"))
  .annotate(OpenApi.Summary, "Revoke a secret")
  .annotate(
    OpenApi.Description,
    "200 when the secret is gone, durably; its ciphertext is overwritten soon after.",
  )

const list = HttpApiEndpoint.get("list", "/v1/secrets", {
  query: pageQuery,
  success: pageOf(
    Schema.Struct({
      name: SecretName,
      storedAt: Schema.String.annotate({
        description: "When the present value was stored: ISO 8601 in UTC.",
      }),
    }).annotate({ identifier: "Secret" }),
  ).annotate({ identifier: "SecretPage" }),
  error: answers("invalid-request", "tenant-required", ...storageProblems),
})
  .annotate(RequiredPermission, needs("secrets"))
  .annotate(OpenApi.Summary, "List secrets")
  .annotate(
    OpenApi.Description,
    "The tenant's secrets in order of their names, in pages, never with a value.",
  )

/** The group `secrets`. */
export class SecretsApi extends HttpApiGroup.make("secrets")
  .add(put, get, revoke, list)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Secrets")
  .annotate(OpenApi.Description, "A tenant's secrets, written and named here, never read.") {}
