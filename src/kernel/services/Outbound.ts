/**
 * The way of a request out of a service. It decides whether the service may send it, bounds how
 * many there are, and hands it on; the runtime driver only carries the question and the answer.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type { ServiceName } from "../../domain/Identifier.ts"
import type { LoggedSpec } from "../../domain/ServiceSpec.ts"
import type { OutgoingRequest, OutgoingResponse } from "./Runtime.ts"

/** Requests that are on their way out at once: of one tenant, and of all. */
export const maxErrandsPerTenant = 512
export const maxErrands = 2048

/** Calls of one service to others in a burst, and per second after that; further ones wait. */
export const callBurst = 1000
export const callsPerSecond = 500

/** The same for requests of one tenant to the network: each takes a connection of its own. */
export const journeyBurst = 400
export const journeysPerSecond = 100

/** Largest body of a request that goes out, and of its response, in bytes. */
export const maxErrandBytes = 1024 * 1024 * 1024

/** The request did not go out, or its response did not come whole. */
export class FetchFailed extends Schema.TaggedError<FetchFailed>()("FetchFailed", {
  /** Why, for the author of the service. */
  message: Schema.String,
}) {}

/** Who sends: an instance of a service, with what its spec grants. */
export interface Sender {
  readonly name: ServiceName
  readonly spec: Pick<LoggedSpec, "services" | "network" | "limits">
}

/** Sends one request. The response is valid while the scope is open. */
export type SendOut = (
  request: OutgoingRequest,
) => Effect.Effect<OutgoingResponse, FetchFailed, Scope.Scope>

/** Carries requests out of services. */
export class Outbound extends Context.Service<
  Outbound,
  {
    /** The way out of one instance. */
    readonly open: (sender: Sender) => SendOut
  }
>()("solo/kernel/services/Outbound") {}
