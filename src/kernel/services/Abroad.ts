/**
 * Requests from a service to the network: only to destinations that its spec names, each of them
 * looked at again when it is used, also those that a redirect leads to.
 */
import * as Effect from "effect/Effect"

import { destinationOf, destinationOfUrl } from "../../domain/Destination.ts"
import { Network } from "./Network.ts"
import { FetchFailed, type Sender } from "./Outbound.ts"
import type { OutgoingRequest } from "./Runtime.ts"

const fail = (message: string) => Effect.fail(new FetchFailed({ message }))

const parse = (text: string): URL | undefined => {
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}

/** The destinations of specs, read once for each. */
const makeGrants = () => {
  const known = new WeakMap<Sender["spec"], ReadonlySet<string | undefined>>()
  return ({ spec }: Sender): ReadonlySet<string | undefined> => {
    const found = known.get(spec) ?? new Set(spec.network.map(destinationOf))
    known.set(spec, found)
    return found
  }
}

/** How a sender reaches the network. What is refused is told to `denied`. */
export const makeAbroad = Effect.fnUntraced(function* (
  denied: (sender: Sender, destination: string, reason: string) => void,
) {
  const network = yield* Network
  const grantsOf = makeGrants()

  return Effect.fnUntraced(function* (sender: Sender, request: OutgoingRequest) {
    const url = parse(request.url)
    if (url === undefined) return yield* fail("this is no absolute URL")
    const destination = destinationOfUrl(url)
    if (destination === undefined)
      return yield* fail("only http: and https: URLs of a host can be fetched")
    if (url.username !== "" || url.password !== "")
      return yield* fail("a URL with a user or a password cannot be fetched; use a header")
    if (!grantsOf(sender).has(destination)) {
      denied(sender, destination, "not in the spec")
      return yield* fail(`this service's spec does not name ${destination} under network`)
    }
    url.hash = ""
    const { body, bodyBytes, headers, method } = request
    const { requestTimeoutMs } = sender.spec.limits
    return yield* network.request({ method, url, destination, headers, body, bodyBytes }).pipe(
      Effect.timeoutOrElse({
        duration: requestTimeoutMs,
        orElse: () =>
          fail(
            `${destination} did not answer within ${requestTimeoutMs} ms (limits.requestTimeoutMs)`,
          ),
      }),
      Effect.catchTags({
        AddressRefused: (refused) => {
          denied(sender, destination, `not allowed by the operator: ${refused.kind}`)
          return fail(refused.message)
        },
        NetworkFailed: ({ message }) => fail(message),
      }),
    )
  })
})
