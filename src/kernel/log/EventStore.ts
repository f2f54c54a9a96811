/**
 * The append-only log of events (promises 1 and 5): services, capabilities and secrets change with an
 * event or not at all. What it does not own is written beside it, by its owners: the entries of
 * services' stores, schedules' accounts, wrapped keys, the removal of expired tokens, checkpoints.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import type * as Stream from "effect/Stream"

import type { Event, EventDraft, EventType } from "../../domain/Event.ts"
import type { ServiceId, TenantId } from "../../domain/Identifier.ts"
import type { StorageError } from "./Storage.ts"

/** The writer's queue is full: nothing was appended. */
export class LogOverloaded extends Schema.TaggedError<LogOverloaded>()("LogOverloaded", {
  waiting: Schema.Int,
}) {
  override get message(): string {
    return `${this.waiting} appends are waiting already; try again in a moment`
  }
}

/** The event is larger than the log takes: nothing was appended. */
export class EventTooLarge extends Schema.TaggedError<EventTooLarge>()("EventTooLarge", {
  type: Schema.String,
  bytes: Schema.Int,
  maximum: Schema.Int,
}) {
  override get message(): string {
    return `the payload of ${this.type} has ${this.bytes} bytes, the log takes at most ${this.maximum}`
  }
}

/** The log is closed: the kernel is stopping. Nothing was appended. */
export class LogClosed extends Schema.TaggedError<LogClosed>()("LogClosed", {}) {
  override get message(): string {
    return "the kernel is stopping and appends nothing more"
  }
}

/** Why an append did not happen. */
export type AppendError = StorageError | LogOverloaded | EventTooLarge | LogClosed

/** Which events to read. Everything left out matches everything. */
export interface EventFilter {
  readonly tenantId?: TenantId | undefined
  readonly serviceId?: ServiceId | undefined
  readonly types?: ReadonlyArray<EventType> | undefined
  /** Only events after this id. */
  readonly sinceId?: number | undefined
  /** Only events up to and including this id. */
  readonly untilId?: number | undefined
  /** At most so many. `subscribe` ignores it. */
  readonly limit?: number | undefined
}

/** The log. */
export class EventStore extends Context.Service<
  EventStore,
  {
    /** Appends one event. @see append */
    readonly emit: (draft: EventDraft) => Effect.Effect<Event, AppendError>
    /**
     * Appends all of `drafts` or none, in order and without others in between; durable when it
     * returns. `attachment` runs in the same transaction: rows that must never disagree with the
     * events. Once accepted, an append is carried out even if its caller is interrupted.
     */
    readonly append: (
      drafts: readonly [EventDraft, ...Array<EventDraft>],
      attachment?: Effect.Effect<void, SqlError>,
    ) => Effect.Effect<readonly [Event, ...Array<Event>], AppendError>
    /** The matching events up to now, in id order, read in pages as they are pulled. */
    readonly stream: (filter?: EventFilter) => Stream.Stream<Event, StorageError>
    /** One page of matching events, at most 1000, in id order. */
    readonly filter: (filter?: EventFilter) => Effect.Effect<ReadonlyArray<Event>, StorageError>
    /** `stream`, then every matching event as it becomes durable: no gap, no duplicate. */
    readonly subscribe: (filter?: EventFilter) => Stream.Stream<Event, StorageError>
    /** Id of the newest durable event; 0 when the log is empty. */
    readonly lastId: Effect.Effect<number>
    /** Returns when everything accepted before it is durable or refused. */
    readonly flush: Effect.Effect<void, StorageError>
    /** How many distinct rows, up to 10,000, were found unreadable and skipped since the opening. */
    readonly unreadable: Effect.Effect<number>
  }
>()("solo/kernel/log/EventStore") {}
