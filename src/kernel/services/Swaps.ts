/**
 * The hot swaps that are under way: one per service, from the request on until it is committed or
 * undone. Whoever must not wait for a swap (a kill, a rollback, the shutdown) ends it here; what
 * ending means is the swap's own business.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { serviceKey, type ServiceName, type TenantId } from "../../domain/Identifier.ts"
import { withDeadline } from "../Deadline.ts"
import { Readiness } from "../Readiness.ts"
import { SwapFailed, SwapInProgress, TooManySwaps } from "./Deployer.ts"

/** How long the shutdown waits for swaps to be undone, in milliseconds. */
const undoTimeoutMs = 3000

/** Swaps of one tenant that may be under way at once. */
export const maxSwapsPerTenant = 16

const kernelStops = "the kernel is stopping"

/** A swap, as the one who carries it out holds it. */
export interface OpenSwap {
  /** Succeeds when the swap must end uncommitted, with the reason. */
  readonly ended: Effect.Effect<string>
  /** From now on there is nothing to undo: others queue behind the swap instead of ending it. */
  readonly commit: Effect.Effect<void>
}

/** Does something that is in vain once the swap must end: that interrupts it, and fails. */
export const unlessEnded =
  (swap: OpenSwap) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SwapFailed, R> => {
    const ended = Effect.flatMap(swap.ended, (reason) => Effect.fail(new SwapFailed({ reason })))
    return Effect.raceFirst(Effect.interruptible(effect), Effect.interruptible(ended))
  }

interface Entry {
  readonly tenantId: TenantId
  readonly reason: Deferred.Deferred<string>
  /** Completes when the swap is over for others: whether it was committed. */
  readonly over: Deferred.Deferred<boolean>
}

/** For how many a service may not be swapped now, and why. */
const makeBars = () => {
  const bars = new Map<string, Array<string>>()
  return {
    reasonFor: (name: ServiceName): string | undefined => bars.get(serviceKey(name))?.[0],
    add: (name: ServiceName, reason: string) => {
      const key = serviceKey(name)
      bars.set(key, [...(bars.get(key) ?? []), reason])
    },
    remove: (name: ServiceName) => {
      const key = serviceKey(name)
      const left = bars.get(key)!.slice(1)
      if (left.length === 0) bars.delete(key)
      else bars.set(key, left)
    },
  }
}

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
      const readiness = yield* Readiness
      const entries = new Map<string, Entry>()
      const bars = makeBars()

      const tell = (entry: Entry | undefined, reason: string) => {
        if (entry !== undefined) Deferred.doneUnsafe(entry.reason, Effect.succeed(reason))
      }

      const countOf = (tenantId: TenantId) =>
        [...entries.values()].filter((entry) => entry.tenantId === tenantId).length

      const enter = Effect.fnUntraced(function* (name: ServiceName) {
        const { serviceId, tenantId } = name
        const key = serviceKey(name)
        if (entries.has(key)) return yield* new SwapInProgress({ serviceId })
        if (countOf(tenantId) >= maxSwapsPerTenant) {
          return yield* new TooManySwaps({ maximum: maxSwapsPerTenant })
        }
        const entry: Entry = {
          tenantId,
          reason: Deferred.makeUnsafe(),
          over: Deferred.makeUnsafe(),
        }
        entries.set(key, entry)
        const reason = bars.reasonFor(name)
        if (reason !== undefined) tell(entry, reason)
        return entry
      })

      const leave = (name: ServiceName, entry: Entry, committed: boolean) =>
        Effect.sync(() => {
          const key = serviceKey(name)
          if (entries.get(key) === entry) entries.delete(key)
          Deferred.doneUnsafe(entry.over, Effect.succeed(committed))
        })

      const endAll = Effect.suspend(() => {
        const open = [...entries.values()]
        for (const entry of open) tell(entry, kernelStops)
        return Effect.forEach(open, ({ over }) => Deferred.await(over), { discard: true })
      })

      yield* SubscriptionRef.changes(readiness).pipe(
        Stream.runForEach(({ status }) => (status === "stopping" ? endAll : Effect.void)),
        Effect.forkScoped,
      )
      yield* Effect.addFinalizer(() => withDeadline(undoTimeoutMs, endAll))

      return Swaps.of({
        open: (name) => (use) =>
          Effect.acquireUseRelease(
            enter(name),
            (entry) =>
              use({ ended: Deferred.await(entry.reason), commit: leave(name, entry, true) }),
            (entry) => leave(name, entry, false),
          ),
        isOpen: (name) => entries.has(serviceKey(name)),
        end: (name, reason) =>
          Effect.suspend(() => {
            const entry = entries.get(serviceKey(name))
            if (entry === undefined) return Effect.succeed(false)
            tell(entry, reason)
            return Effect.map(Deferred.await(entry.over), (committed) => !committed)
          }),
        bar: (name, reason) => (effect) =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              bars.add(name, reason)
              tell(entries.get(serviceKey(name)), reason)
            }),
            () => effect,
            () => Effect.sync(() => bars.remove(name)),
          ),
      })
    }),
  )
}
