import { it } from "@effect/vitest"
/**
 * The network driver with names that a test makes up, and a way to ask through it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { destinationOfUrl, type NetworkRequest } from "solo"

import { makeNetwork } from "../../../plugins/network/index.ts"
import { NotResolved, Resolver } from "../../../plugins/network/Resolver.ts"

/** How the network is to be. */
export interface Setup {
  readonly allow?: ReadonlyArray<string>
  /** What a name leads to, at each question anew. */
  readonly names?: Readonly<Record<string, () => ReadonlyArray<string>>>
  readonly connectTimeoutMs?: number
  readonly idleTimeoutMs?: number
  readonly ca?: string
}

/** A network that reaches 127.0.0.1, unless the setup says otherwise. */
export const networkOf = ({ names = {}, ...settings }: Setup = {}) =>
  makeNetwork({
    allow: ["127.0.0.1/32"],
    connectTimeoutMs: 5000,
    idleTimeoutMs: 5000,
    ...settings,
  }).pipe(
    Effect.provideService(Resolver, {
      resolve: (host) => {
        const addresses = names[host]?.()
        return addresses === undefined ? new NotResolved({ host }) : Effect.succeed(addresses)
      },
    }),
  )

/** A request to a URL. */
export const requestTo = (address: string, more: Partial<NetworkRequest> = {}): NetworkRequest => {
  const url = new URL(address)
  const destination = destinationOfUrl(url)!
  return { method: "GET", url, destination, headers: [], body: null, bodyBytes: 0, ...more }
}

/** Asks and reads all of the answer. */
export const ask = Effect.fnUntraced(function* (
  address: string,
  { setup, ...more }: Partial<NetworkRequest> & { readonly setup?: Setup } = {},
) {
  const network = yield* networkOf(setup)
  const { body, headers, status } = yield* network.request(requestTo(address, more))
  const pieces = body === null ? [] : yield* Stream.runCollect(body)
  return { status, headers: Object.fromEntries(headers), text: Buffer.concat(pieces).toString() }
})

/** A condition that comes to hold while other things go on. */
export const until = (holds: () => boolean) =>
  Effect.repeat(Effect.sleep(5), { until: holds }).pipe(Effect.timeout("20 seconds"))

/** A test with real time and a scope of its own. */
export const test = <E>(title: string, body: () => Effect.Effect<void, E, Scope.Scope>): void =>
  it.live(title, () => Effect.scoped(body()))
