/**
 * Logging what happened to a running service: events that change nothing about what should be.
 */
import * as Effect from "effect/Effect"

import { draft, type EventType, type Payload } from "../../domain/Event.ts"
import { note } from "../log/Note.ts"
import type { ChildSpec } from "./Registry.ts"
import type { Crashed } from "./Runtime.ts"

/** Logs what happened to `child`, if the log takes it. */
export const noteOf = <T extends EventType>(child: ChildSpec, type: T, payload: Payload<T>) =>
  Effect.annotateLogs(note(draft(type, payload, child.name)), { ...child.name })

/** Logs that `child` crashed, and before it the limit it broke, if that is why. */
export const noteCrash = Effect.fnUntraced(function* (child: ChildSpec, exit: Crashed) {
  const { revision } = child
  const { reason, violation } = exit
  if (violation !== undefined) {
    yield* noteOf(child, "resource_violation", { revision, ...violation, reason })
  }
  yield* noteOf(child, "service_crashed", { revision, reason })
})
