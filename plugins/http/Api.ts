/**
 * The whole API of the kernel as one declaration: routes, shapes, permissions, problems. Handlers,
 * the OpenAPI document and the docs page are all derived from it. Ingress to services is a raw
 * route and is added to the document by `Documentation`.
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as OpenApi from "effect/http-api/OpenApi"

import { EventsApi } from "./EventsApi.ts"
import { HealthApi } from "./HealthApi.ts"
import { LogsApi } from "./LogsApi.ts"
import { OperationApi } from "./OperationApi.ts"
import { describeRawRoutes } from "./RawRoutes.ts"
import { RecoveryApi } from "./RecoveryApi.ts"
import { SchedulesApi } from "./SchedulesApi.ts"
import { SecretsApi } from "./SecretsApi.ts"
import { ServicesApi } from "./ServicesApi.ts"
import { StoreApi } from "./StoreApi.ts"
import { TokensApi } from "./TokensApi.ts"
import { VerificationApi } from "./VerificationApi.ts"

/** @see the file's head */
export class Api extends HttpApi.make("solo")
  .add(ServicesApi)
  .add(StoreApi)
  .add(LogsApi)
  .add(SchedulesApi)
  .add(EventsApi)
  .add(TokensApi)
  .add(SecretsApi)
  .add(HealthApi)
  .add(RecoveryApi)
  .add(VerificationApi)
  .add(OperationApi)
  .annotate(HttpApi.ParseOptions, { errors: "all" })
  .annotate(HttpApi.PayloadParseOptions, { errors: "all", onExcessProperty: "error" })
  .annotate(OpenApi.Title, "Solo")
  .annotate(OpenApi.Version, "1")
  .annotate(
    OpenApi.Description,
    "A user-level operating system for LLM agents: deploy TypeScript services, call them, kill them, watch what happens. Times are ISO 8601 in UTC. Errors are problem details (RFC 9457) with a stable `type`; every response carries `X-Request-Id`, which a request may choose itself. Lists take `limit` and `cursor` and answer `{ items, next }`.",
  )
  .annotate(OpenApi.Transform, describeRawRoutes) {}
