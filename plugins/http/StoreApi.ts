/**
 * The declaration of the routes under `/v1/services/{serviceId}/store`: how much a service has
 * stored, and the removal of it all. No route answers a key or a value.
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { ServiceId } from "solo"

import { Authorization, needs, RequiredPermission } from "./Authorization.ts"
import { answers } from "./Problem.ts"
import { ProblemDetails } from "./ProblemDetails.ts"

const params = {
  serviceId: ServiceId.annotate({ description: "The service's name within its tenant." }),
}

const Figures = Schema.Struct({
  serviceId: ServiceId,
  keys: Schema.Int.annotate({ description: "Entries there are." }),
  bytes: Schema.Int.annotate({
    description: "What they count: key and value, and 32 bytes each.",
  }),
  quota: Schema.Struct({
    keys: Schema.Int,
    bytes: Schema.Int,
    tenantBytes: Schema.Int.annotate({
      description: "What the stores of all the tenant's services may hold together.",
    }),
  }),
}).annotate({ identifier: "StoreFigures" })

const storageProblems = ["storage-unavailable", "storage-full", "request-timed-out"] as const

const get = HttpApiEndpoint.get("get", "/v1/services/:serviceId/store", {
  params,
  success: Figures,
  error: answers("invalid-request", "tenant-required", "service-not-found", ...storageProblems),
})
  .annotate(RequiredPermission, needs("read", "service"))
  .annotate(OpenApi.Summary, "Ask how much a service has stored")
  .annotate(
    OpenApi.Description,
    "What the service keeps in `ctx.store`, and its quota. A service that was killed keeps its store: deployed again it finds it.",
  )

const clear = HttpApiEndpoint.delete("clear", "/v1/services/:serviceId/store", {
  params,
  success: Figures,
  error: answers(
    "invalid-request",
    "tenant-required",
    "service-not-found",
    "log-overloaded",
    ...storageProblems,
  ),
})
  .annotate(RequiredPermission, needs("kill", "service"))
  .annotate(OpenApi.Summary, "Remove all a service has stored")
  .annotate(
    OpenApi.Description,
    "Removes every entry of the service's `ctx.store`, whether the service runs or was killed; 200 when that is durable. There is no way back but a backup.",
  )

/** The group `store`. */
export class StoreApi extends HttpApiGroup.make("store")
  .add(get, clear)
  .middleware(Authorization)
  .middleware(ProblemDetails)
  .annotate(OpenApi.Title, "Stores")
  .annotate(OpenApi.Description, "What services keep in their durable stores, never what it is.") {}
