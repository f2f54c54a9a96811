/**
 * Calls services' `scheduled` at the times their specs name: each due time at most once, whatever
 * happens to kernel and clock, and reported as missed where that was not possible.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import type { ServiceName } from "../../domain/Identifier.ts"

/** One cron expression of a service and how it is doing. Times are ISO 8601 in UTC. */
export const ScheduleView = Schema.Struct({
  cron: Schema.String,
  /** The next due time, or `null` while none is known to come. */
  nextAt: Schema.NullOr(Schema.String),
  /** The last due time for which `scheduled` was called, or `null` before the first one. */
  lastAt: Schema.NullOr(Schema.String),
  /** How that call went. `interrupted`: nobody saw its end, since the kernel ended first. */
  lastOutcome: Schema.NullOr(Schema.Literals(["running", "succeeded", "failed", "interrupted"])),
})
/** @see {@link ScheduleView} */
export type ScheduleView = typeof ScheduleView.Type

/** The schedules of services. */
export class Scheduler extends Context.Service<
  Scheduler,
  {
    /**
     * A service's schedules, in the order of its spec; none for a service that has none. What was
     * acknowledged is there at once, although its first turn may still have to be worked out.
     */
    readonly schedulesOf: (name: ServiceName) => Effect.Effect<ReadonlyArray<ScheduleView>>
  }
>()("solo/kernel/schedule/Scheduler") {}
