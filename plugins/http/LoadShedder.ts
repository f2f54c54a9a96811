/**
 * Keeps the gateway within its bounds, tenants from starving each other, and services from starving
 * the API: so many requests in flight for one tenant and for all, and turns among those that wait
 * to begin. What is too much is refused at once, with when to try again.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { makeShares, type Shares } from "solo"

import type { GatewayConfig } from "./GatewayConfig.ts"
import { type Problem, problem } from "./Problem.ts"
import { makeTurns } from "./Turns.ts"

/** Whose share a request counts against. */
interface Party {
  readonly isRoot: boolean
  readonly tenantId: string | null
}

/** What a request is for: a service, or the kernel itself. */
type Entrance = "ingress" | "api"

/**
 * How many of `places` only the API gets: an eighth. Whatever is sent to services, there is room to
 * kill one or revoke a token.
 */
const reserveOf = (places: number): number => Math.min(Math.ceil(places / 8), places - 1)

type Bounds = Pick<GatewayConfig, "maxInFlight" | "maxInFlightPerTenant" | "maxBegunPerTurn">

/** The places there are for each entrance, those first that are taken first. */
const makePlaces = (bounds: Bounds): Record<Entrance, ReadonlyArray<Shares>> => {
  const total = reserveOf(bounds.maxInFlight)
  const each = reserveOf(bounds.maxInFlightPerTenant)
  const reserved = makeShares(total, each)
  const common = makeShares(bounds.maxInFlight - total, bounds.maxInFlightPerTenant - each)
  return { ingress: [common], api: [reserved, common] }
}

/** Root has shares of its own: a tenant that sends too much cannot lock its operator out. */
export const shareOf = ({ isRoot, tenantId }: Party): string =>
  isRoot ? `root/${tenantId ?? ""}` : (tenantId ?? "")

const refusals = Metric.counter("solo_requests_shed_total", {
  description: "Requests refused because too many were in flight",
  incremental: true,
})
const ofTenant = Metric.withAttributes(refusals, { bound: "tenant" })
const ofKernel = Metric.withAttributes(refusals, { bound: "kernel" })

/** Lets requests in, or refuses them. */
export class LoadShedder extends Context.Service<
  LoadShedder,
  {
    /**
     * Takes a place for a request, until the request's scope closes, and waits for its turn. The
     * same request may ask once only. Some places are only for the API.
     */
    readonly enter: (party: Party, entrance: Entrance) => Effect.Effect<void, Problem, Scope.Scope>
  }
>()("solo/plugins/http/LoadShedder") {
  static readonly layer = (config: Bounds): Layer.Layer<LoadShedder> =>
    Layer.sync(LoadShedder, () => {
      const places = makePlaces(config)
      const turns = makeTurns(config.maxBegunPerTurn)
      const tenantOverloaded = problem(
        "tenant-overloaded",
        "as many of the tenant's requests are in flight as may be; try again when some are done",
      )
      const kernelOverloaded = problem(
        "kernel-overloaded",
        "as many requests are in flight as may be; try again when some are done",
      )
      // By hand, since `acquireRelease` merges the contexts of both ends for every request.
      const place = (share: string, entrance: Entrance) =>
        Effect.uninterruptible(
          Effect.flatMap(Effect.scope, (scope) => {
            let outcome: ReturnType<Shares["enter"]> = "full"
            for (const shares of places[entrance]) {
              outcome = shares.enter(share)
              if (outcome === "entered")
                return Scope.addFinalizer(
                  scope,
                  Effect.sync(() => shares.leave(share)),
                )
            }
            return outcome === "share"
              ? Effect.andThen(Metric.update(ofTenant, 1), tenantOverloaded)
              : Effect.andThen(Metric.update(ofKernel, 1), kernelOverloaded)
          }),
        )
      return LoadShedder.of({
        enter: (party, entrance) =>
          Effect.suspend(() => {
            const share = shareOf(party)
            return Effect.andThen(place(share, entrance), turns.take(share))
          }),
      })
    })
}
