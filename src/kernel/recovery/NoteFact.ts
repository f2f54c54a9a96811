/**
 * Facts that tell how something ended that is over anyway: logged if the log takes them, and part
 * of the state in memory exactly if they are.
 */
import * as Effect from "effect/Effect"

import type { EventDraft } from "../../domain/Event.ts"
import { EventStore } from "../log/EventStore.ts"
import { DesiredState } from "./DesiredState.ts"

/** Appends a fact, and moves the state in memory on by it. A log that takes nothing is a warning. */
export const noteFact = Effect.fnUntraced(function* (fact: EventDraft) {
  const desired = yield* DesiredState
  const store = yield* EventStore
  yield* store.emit(fact).pipe(
    Effect.flatMap(desired.record),
    Effect.catch(({ message }) =>
      Effect.logWarning(`could not log ${fact.type}`).pipe(
        Effect.annotateLogs({ reason: message }),
      ),
    ),
  )
})
