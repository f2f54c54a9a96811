/**
 * The starts that are under way: of deployments and of recovery, at most one per service, as each
 * is carried out under the service's lock. Whoever needs the lock and must not wait for a start (a
 * kill, a newer deployment, a swap, a rollback, the shutdown) ends it here. What ending means is the
 * business of whoever starts: a deployment is undone, recovery leaves the start to the supervisor.
 * Starts within a swap end with the swap, and restarts with their supervision: neither is here.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"

import type { ServiceName } from "../../domain/Identifier.ts"
import { isSameSpec, type LoggedSpec } from "../../domain/ServiceSpec.ts"
import { type Endable, makeEndings } from "./Endings.ts"
import type { Child } from "./Registry.ts"
import { ServiceLock } from "./ServiceLock.ts"

/** Why others do not wait for a start, and for which one they do. */
interface Preemption {
  readonly reason: string
  /** A start of the identical spec is not ended. */
  readonly spared?: LoggedSpec
}

/** Who starts what. */
export class Starts extends Context.Service<
  Starts,
  {
    /** Carries out the start of `child`. The caller holds the service's lock. */
    readonly open: (
      child: Child,
    ) => <A, E, R>(use: (start: Endable) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** Whether another spec than `spec` is being started. */
    readonly isOther: (name: ServiceName, spec: LoggedSpec) => boolean
    /** Ends the start of a service and waits for that; whether there was one to undo. */
    readonly end: (name: ServiceName, reason: string) => Effect.Effect<boolean>
    /**
     * Holds the service's lock without waiting for starts: those that come before are ended, those
     * that come later are not. `use` learns whether one was.
     */
    readonly preempt: (
      name: ServiceName,
      preemption: Preemption,
    ) => <A, E, R>(use: (ended: boolean) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("solo/kernel/services/Starts") {
  static readonly layer = Layer.effect(
    Starts,
    Effect.gen(function* () {
      const endings = yield* makeEndings<LoggedSpec>()
      const locks = yield* ServiceLock
      return Starts.of({
        open:
          ({ name, spec }) =>
          (use) =>
            Effect.acquireUseRelease(
              Effect.sync(() => endings.enter(name, spec)),
              ({ reason }) => use({ ended: Deferred.await(reason) }),
              (entry, exit) => Effect.sync(() => endings.leave(name, entry, Exit.isSuccess(exit))),
            ),
        isOther: (name, spec) => {
          const entry = endings.get(name)
          return entry !== undefined && !isSameSpec(entry.subject, spec)
        },
        end: endings.end,
        preempt:
          (name, { reason, spared }) =>
          (use) =>
            Effect.acquireUseRelease(
              Effect.sync(() =>
                endings.bar(
                  name,
                  reason,
                  (spec) => spared === undefined || !isSameSpec(spec, spared),
                ),
              ),
              ({ hasEnded, lift }) =>
                locks.hold(name)(
                  Effect.suspend(() => {
                    lift()
                    return use(hasEnded())
                  }),
                ),
              ({ lift }) => Effect.sync(lift),
            ),
      })
    }),
  )
}
