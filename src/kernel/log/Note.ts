/**
 * Events that tell of something that has happened anyway: logging them must not hinder it, so a log
 * that takes nothing, as on a full disk, costs a warning.
 */
import * as Effect from "effect/Effect"

import type { EventDraft } from "../../domain/Event.ts"
import { EventStore } from "./EventStore.ts"

/** Appends `event` if the log takes it; its id, or `null`. */
export const note = Effect.fnUntraced(function* (event: EventDraft) {
  const store = yield* EventStore
  return yield* store.emit(event).pipe(
    Effect.map(({ id }): number | null => id),
    Effect.catch((error) =>
      Effect.logWarning(`could not log ${event.type}`).pipe(
        Effect.annotateLogs({ reason: error.message }),
        Effect.as(null),
      ),
    ),
  )
})
