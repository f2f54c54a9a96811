/**
 * The fold of the log in memory, kept current by whoever appends a fact. Until it is loaded every
 * reader waits, so nobody decides on half a log.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"

import type { Event } from "../../domain/Event.ts"
import { empty, evolve, factTypes, type State } from "../../domain/State.ts"
import { EventStore } from "../log/EventStore.ts"
import type { StorageError } from "../log/Storage.ts"
import { Checkpoints } from "./Checkpoints.ts"

/** What the log says should be. */
export class DesiredState extends Context.Service<
  DesiredState,
  {
    /** Folds the log, from the last checkpoint on. To be run once, at start-up. */
    readonly load: Effect.Effect<void, StorageError>
    /** How many events have been folded so far. */
    readonly folded: Effect.Effect<number>
    /** The state, once it is loaded. */
    readonly get: Effect.Effect<State>
    /**
     * The state as the database has it: what to decide on before something is acknowledged. An
     * append that was refused because its commit failed may have become a fact all the same.
     */
    readonly current: Effect.Effect<State, StorageError>
    /** Moves the state on by a fact that is durable; what is older than is known changes nothing. */
    readonly record: (event: Event) => Effect.Effect<void>
  }
>()("solo/kernel/recovery/DesiredState") {
  static readonly layer = Layer.effect(
    DesiredState,
    Effect.gen(function* () {
      const checkpoints = yield* Checkpoints
      const store = yield* EventStore
      const loaded = yield* Deferred.make<void>()
      let state = empty
      let folded = 0
      let reached = 0
      const oneAtATime = yield* Semaphore.make(1)
      const fold = Effect.gen(function* () {
        const end = yield* store.lastId
        if (end === reached) return
        const facts = store.stream({ types: factTypes, sinceId: reached, untilId: end })
        yield* Stream.runForEach(facts, (event) =>
          Effect.sync(() => {
            state = evolve(state, event)
            folded += 1
          }),
        )
        reached = end
      }).pipe(oneAtATime.withPermit)
      return DesiredState.of({
        load: Effect.gen(function* () {
          const checkpoint = Option.getOrUndefined(yield* checkpoints.latest)
          if (checkpoint !== undefined) {
            state = checkpoint.state
            reached = checkpoint.id
          }
          yield* fold
          yield* Effect.logDebug("folded the log").pipe(
            Effect.annotateLogs({ checkpoint: checkpoint?.id ?? 0, facts: folded }),
          )
          yield* Deferred.succeed(loaded, undefined)
        }),
        current: Deferred.await(loaded).pipe(
          Effect.andThen(store.flush),
          Effect.andThen(fold),
          Effect.andThen(Effect.sync(() => state)),
        ),
        folded: Effect.sync(() => folded),
        get: Effect.andThen(
          Deferred.await(loaded),
          Effect.sync(() => state),
        ),
        record: (event) =>
          Effect.sync(() => {
            state = evolve(state, event)
          }),
      })
    }),
  )
}
