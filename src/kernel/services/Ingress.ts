/**
 * The way of a request into a service, whichever gateway it came through.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type { ServiceName } from "../../domain/Identifier.ts"
import type { ServiceNotFound } from "./Deployer.ts"
import type { RequestError, ServiceRequest, ServiceResponse } from "./Runtime.ts"

/** The service did not begin its response in time. */
export class RequestTimedOut extends Schema.TaggedError<RequestTimedOut>()("RequestTimedOut", {
  timeoutMs: Schema.Int,
}) {
  override get message(): string {
    return `the service did not answer within ${this.timeoutMs} ms (limits.requestTimeoutMs)`
  }
}

/** Why a request came to nothing. */
export type IngressError = ServiceNotFound | RequestTimedOut | RequestError

/** Hands requests to services. */
export class Ingress extends Context.Service<
  Ingress,
  {
    /**
     * Succeeds when the response begins; its body is valid while the scope is open. Closing the
     * scope aborts what still runs.
     */
    readonly request: (
      name: ServiceName,
      request: ServiceRequest,
    ) => Effect.Effect<ServiceResponse, IngressError, Scope.Scope>
  }
>()("solo/kernel/Ingress") {}
