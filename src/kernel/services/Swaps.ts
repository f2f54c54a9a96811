/**
 * The hot swaps that are under way: one per service, from the request on until it is committed or
 * undone. Whoever must not wait for a swap (a kill, a rollback, the shutdown) ends it here; what
 * ending means is the swap's own business.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import type { ServiceName, TenantId } from "../../domain/Identifier.ts"
import { SwapFailed, SwapInProgress, TooManySwaps } from "./Deployer.ts"
import { type Endable, makeEndings, unlessEnded } from "./Endings.ts"

/** Swaps of one tenant that may be under way at once. */
export const maxSwapsPerTenant = 16

/** A swap, as the one who carries it out holds it. It must end uncommitted once it is ended. */
export interface OpenSwap extends Endable {
  /** From now on there is nothing to undo: others queue behind the swap instead of ending it. */
  readonly commit: Effect.Effect<void>
}

/** Does something that is in vain once the swap must end: that interrupts it, and fails. */
export const unlessSwapEnded = (swap: OpenSwap) =>
  unlessEnded(swap, (reason) => new SwapFailed({ reason }))

/** Who swaps what. */
export class Swaps extends Context.Service<
  Swaps,
  {
    /** Carries out a swap, unless another one of the same service is under way. */
    readonly open: (
      name: ServiceName,
    ) => <A, E, R>(
      use: (swap: OpenSwap) => Effect.Effect<A, E, R>,
    ) => Effect.Effect<A, E | SwapInProgress | TooManySwaps, R>
    readonly isOpen: (name: ServiceName) => boolean
    /** Ends the swap of a service and waits for that; whether there was one to undo. */
    readonly end: (name: ServiceName, reason: string) => Effect.Effect<boolean>
    /** Ends the swap of a service, and every one that begins until `effect` is over. */
    readonly bar: (
      name: ServiceName,
      reason: string,
    ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("solo/kernel/services/Swaps") {
  static readonly layer = Layer.effect(
    Swaps,
    Effect.gen(function* () {
      const endings = yield* makeEndings<TenantId>()

      const countOf = (tenantId: TenantId) =>
        endings.all().filter(({ subject }) => subject === tenantId).length

      const enter = Effect.fnUntraced(function* (name: ServiceName) {
        const { serviceId, tenantId } = name
        if (endings.get(name) !== undefined) return yield* new SwapInProgress({ serviceId })
        if (countOf(tenantId) >= maxSwapsPerTenant) {
          return yield* new TooManySwaps({ maximum: maxSwapsPerTenant })
        }
        return endings.enter(name, tenantId)
      })

      return Swaps.of({
        open: (name) => (use) =>
          Effect.acquireUseRelease(
            enter(name),
            (entry) =>
              use({
                ended: Deferred.await(entry.reason),
                commit: Effect.sync(() => endings.leave(name, entry, true)),
              }),
            (entry) => Effect.sync(() => endings.leave(name, entry, false)),
          ),
        isOpen: (name) => endings.get(name) !== undefined,
        end: endings.end,
        bar: (name, reason) => (effect) =>
          Effect.acquireUseRelease(
            Effect.sync(() => endings.bar(name, reason)),
            () => effect,
            ({ lift }) => Effect.sync(lift),
          ),
      })
    }),
  )
}
