/**
 * Bounds on how long many short efforts take. All efforts with the same bound share one sleeping
 * fiber: a race with a timer of its own would cost each of them two fibers, which is most of what
 * a request to a quick service costs.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/** One effort that is under way: when it is due, and what happens then. */
interface Waiting {
  readonly at: number
  readonly expire: () => void
}

/** Those under way. */
export interface Timeouts {
  /**
   * Runs `effort`. When it takes longer than `milliseconds` it is interrupted, and the result is
   * that of `orElse`, without waiting for its end. The clock is the one of {@link makeTimeouts}.
   */
  readonly within: <A, E, R, E2>(
    milliseconds: number,
    effort: Effect.Effect<A, E, R>,
    orElse: () => Effect.Effect<A, E2>,
  ) => Effect.Effect<A, E | E2, R>
}

const nanosPerMilli = 1e6

/** Timeouts whose sleeping fibers end with the scope. */
export const makeTimeouts: Effect.Effect<Timeouts, never, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  // Those of one bound are due in the order in which they came: a Set keeps it.
  const lanes = new Map<number, Set<Waiting>>()
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / nanosPerMilli

  /** Expires what is due; how long until the next one is, or `undefined` where none is left. */
  const sweep = (lane: Set<Waiting>): number | undefined => {
    for (const waiting of lane) {
      const left = waiting.at - now()
      if (left > 0) return left
      lane.delete(waiting)
      waiting.expire()
    }
    return undefined
  }

  const keepSweeping = (milliseconds: number, lane: Set<Waiting>) =>
    Effect.gen(function* () {
      for (let left = sweep(lane); left !== undefined; left = sweep(lane))
        yield* Effect.sleep(Math.ceil(left))
      lanes.delete(milliseconds)
    })

  const laneOf = (milliseconds: number): Set<Waiting> => {
    const existing = lanes.get(milliseconds)
    if (existing !== undefined) return existing
    const lane = new Set<Waiting>()
    lanes.set(milliseconds, lane)
    return lane
  }

  const add = (milliseconds: number, expire: () => void) => {
    const isNew = !lanes.has(milliseconds)
    const lane = laneOf(milliseconds)
    const waiting = { at: now() + milliseconds, expire }
    lane.add(waiting)
    if (isNew) Fiber.runIn(Effect.runForkWith(context)(keepSweeping(milliseconds, lane)), scope)
    return () => lane.delete(waiting)
  }

  const within = <A, E, R, E2>(
    milliseconds: number,
    effort: Effect.Effect<A, E, R>,
    orElse: () => Effect.Effect<A, E2>,
  ) =>
    Effect.contextWith((services: Context.Context<R>) =>
      Effect.callback<A, E | E2>((resume) => {
        const fiber = Effect.runForkWith(services)(effort)
        const remove = add(milliseconds, () => {
          resume(orElse())
          fiber.interruptUnsafe()
        })
        fiber.addObserver((exit) => {
          remove()
          resume(exit)
        })
        return Effect.andThen(Effect.sync(remove), Fiber.interrupt(fiber))
      }),
    )
  return { within }
})
