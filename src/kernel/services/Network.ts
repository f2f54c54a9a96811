/**
 * The port to the network outside, for requests of services. A driver plugin provides it. It owns
 * one exchange with one server; where a service may go at all is decided before it is asked, and
 * redirects are requests of their own.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type { OutgoingRequest, OutgoingResponse } from "./Runtime.ts"

/** The name leads to an address that the operator does not let services reach. */
export class AddressRefused extends Schema.TaggedError<AddressRefused>()("AddressRefused", {
  /** `host:port`. */
  destination: Schema.String,
  /** What kind of address it is, such as `loopback`; never the address itself. */
  kind: Schema.String,
}) {
  override get message(): string {
    return `${this.destination} leads to an address that the operator does not allow: ${this.kind}`
  }
}

/** The exchange failed: no such name, no connection, no valid certificate, no answer. */
export class NetworkFailed extends Schema.TaggedError<NetworkFailed>()("NetworkFailed", {
  /** Why, for the author of the service. Names no address. */
  message: Schema.String,
}) {}

/** One request to one server. */
export interface NetworkRequest extends Pick<
  OutgoingRequest,
  "method" | "headers" | "body" | "bodyBytes"
> {
  /** `http:` or `https:`, without user, password or fragment. */
  readonly url: URL
  /** Where `url` leads, `host:port`. */
  readonly destination: string
}

/** A network driver. */
export class Network extends Context.Service<
  Network,
  {
    /**
     * Resolves the host once, checks every address, connects to one of those and to no other,
     * verifies the server's certificate against the host, and exchanges one request for one
     * response, which it does not follow. Content that the server compressed arrives plain. The
     * response's body is valid while the scope is open; closing that ends the connection. No
     * connection serves two requests.
     */
    readonly request: (
      request: NetworkRequest,
    ) => Effect.Effect<OutgoingResponse, AddressRefused | NetworkFailed, Scope.Scope>
  }
>()("solo/kernel/services/Network") {}
