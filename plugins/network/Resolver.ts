/**
 * Names to addresses: the machine's hosts file, then its name servers, asked directly. The system's
 * own resolver would block the threads that the vault needs, for as long as a name server is silent.
 */
import { Resolver as NodeResolver } from "node:dns/promises"
import { readFile } from "node:fs/promises"

import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"

/** Largest hosts file that is read, in characters. */
const maxHostsLength = 1024 * 1024

/** How long one name server may take, in milliseconds, and how often each is asked. */
const timeoutMs = 2000
const tries = 2

/** Names looked up at the same time; further ones wait. */
const maxLookups = 256

/** The name has no address, or nobody says so. */
export class NotResolved extends Schema.TaggedError<NotResolved>()("NotResolved", {
  host: Schema.String,
}) {
  override get message(): string {
    return `${this.host} has no address, or no name server says so`
  }
}

/** Resolves names. */
export class Resolver extends Context.Service<
  Resolver,
  {
    /** Every address of `host`, at least one. */
    readonly resolve: (host: string) => Effect.Effect<ReadonlyArray<string>, NotResolved>
  }
>()("solo/plugins/network/Resolver") {}

const readHosts = Effect.promise(async () => {
  const hosts = new Map<string, Array<string>>()
  const text = await readFile("/etc/hosts", "utf8").catch(() => "")
  for (const line of text.slice(0, maxHostsLength).split("\n")) {
    const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/)
    for (const name of names) {
      const key = name.toLowerCase()
      hosts.set(key, [...(hosts.get(key) ?? []), address!])
    }
  }
  return hosts
})

const ask = (host: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new NodeResolver({ timeout: timeoutMs, tries })),
    (resolver) =>
      Effect.promise(async () => {
        const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
        return answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []))
      }),
    (resolver) => Effect.sync(() => resolver.cancel()),
  )

/** The machine's resolver. */
export const layerResolver = Layer.effect(
  Resolver,
  Effect.gen(function* () {
    const lookups = yield* Semaphore.make(maxLookups)
    return Resolver.of({
      resolve: Effect.fn("Resolver.resolve")(function* (host) {
        // What no name server is to be asked (RFC 6761).
        if (host === "localhost" || host.endsWith(".localhost")) return ["127.0.0.1", "::1"]
        const known = (yield* readHosts).get(host)
        const addresses = known ?? (yield* lookups.withPermits(1)(ask(host)))
        return addresses.length > 0 ? addresses : yield* new NotResolved({ host })
      }),
    })
  }),
)
