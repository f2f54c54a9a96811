/**
 * Waiting that ends: for work that may hang, may refuse to be interrupted, or is waited for by a
 * fiber that was interrupted itself, as every finalizer after a signal is.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"

/**
 * Runs `effect` on a fiber of its own and waits for it at most `milliseconds`; `None` when it was
 * not over by then: it is told to stop, and left behind. The wait itself cannot be interrupted.
 */
export const withDeadline = <A, E, R>(
  milliseconds: number,
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.uninterruptible(
    Effect.gen(function* () {
      const work = yield* Effect.forkDetach(Effect.interruptible(effect))
      const ending = Effect.timeoutOption(Fiber.await(work), milliseconds)
      // Timed by a third fiber: in this one, once interrupted, a timeout would not wait at all.
      const wait = yield* Effect.forkDetach(Effect.interruptible(ending))
      const ended = yield* Fiber.join(wait)
      if (Option.isSome(ended)) return Exit.map(ended.value, Option.some)
      work.interruptUnsafe()
      return Exit.succeed(Option.none<A>())
    }).pipe(Effect.flatten),
  )
