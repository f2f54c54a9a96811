/**
 * How often tokens are presented, against their own limits and those of the tokens they were made
 * from: a family shares its eldest's rate.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Scope from "effect/Scope"

import { RateExceeded } from "./CapabilityManager.ts"
import type { TokenEntry } from "./TokenIndex.ts"

// One limiter per token, so that it goes when the token goes. Its scope stays open for as long: it is
// dropped with it and never closed, since a store in memory has nothing to release.
const limiterLayer = Layer.fresh(
  RateLimiter.layer.pipe(Layer.provide(Layer.fresh(RateLimiter.layerStoreMemory))),
)
const makeLimiter = Effect.map(
  Effect.flatMap(Scope.make(), (scope) => Layer.buildWithScope(limiterLayer, scope)),
  (context) => Context.get(context, RateLimiter.RateLimiter),
)

/** The token's limiter. Several may be made at once: the first to be there is everybody's. */
const limiterOf = (entry: TokenEntry): Effect.Effect<RateLimiter.RateLimiter> =>
  entry.limiter === undefined
    ? Effect.map(makeLimiter, (made) => (entry.limiter ??= made))
    : Effect.succeed(entry.limiter)

/** A limit like the parent's adds nothing to the parent's own, which holds as well. */
const isInherited = ({ capability, parent }: TokenEntry): boolean => {
  const [own, inherited] = [capability.rateLimit, parent?.capability.rateLimit]
  return own?.requests === inherited?.requests && own?.perSeconds === inherited?.perSeconds
}

const consume = Effect.fnUntraced(function* (entry: TokenEntry) {
  const { rateLimit, tokenHash } = entry.capability
  if (rateLimit === null || isInherited(entry)) return
  const limiter = yield* limiterOf(entry)
  yield* limiter.consume({
    key: tokenHash,
    algorithm: "token-bucket",
    onExceeded: "fail",
    limit: rateLimit.requests,
    window: Duration.seconds(rateLimit.perSeconds),
  })
})

/** Counts one presentation of a token; fails when that is one too many. */
export const countPresentation = (
  entry: TokenEntry,
  clock: Clock.Clock,
): Effect.Effect<void, RateExceeded> =>
  Effect.gen(function* () {
    // Its own limit first: what that refuses must not use up the parent's.
    for (let next: TokenEntry | undefined = entry; next !== undefined; next = next.parent)
      yield* consume(next)
  }).pipe(
    Effect.provideService(Clock.Clock, clock),
    Effect.catchTag("RateLimiterError", ({ reason }) =>
      // The limiter's store is memory and does not fail.
      reason._tag === "RateLimitExceeded"
        ? Effect.fail(
            new RateExceeded({
              retryAfterMs: Math.max(1, Math.ceil(Duration.toMillis(reason.retryAfter))),
            }),
          )
        : Effect.die(reason),
    ),
  )
