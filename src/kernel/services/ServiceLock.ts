/**
 * One lock per service: deploy, kill and recovery of the same service follow each other, those of
 * different services go in parallel. Locks of services nobody works on take no memory.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import * as Semaphore from "effect/Semaphore"

import { serviceKey, type ServiceName } from "../../domain/Identifier.ts"

/** Serialises what is done to one service. */
export class ServiceLock extends Context.Service<
  ServiceLock,
  {
    /** Runs `effect` while nobody else holds the lock of `name`. */
    readonly hold: (
      name: ServiceName,
    ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("solo/kernel/ServiceLock") {
  static readonly layer = Layer.effect(
    ServiceLock,
    Effect.gen(function* () {
      const locks = yield* RcMap.make({ lookup: (_key: string) => Semaphore.make(1) })
      return ServiceLock.of({
        hold: (name) => (effect) =>
          Effect.scoped(
            Effect.flatMap(RcMap.get(locks, serviceKey(name)), (lock) => lock.withPermit(effect)),
          ) as typeof effect,
      })
    }),
  )
}
