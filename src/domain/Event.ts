/**
 * The catalogue of events: every kind of fact the log can hold, with the shape of its payload.
 * It owns what a fact looks like; `State` says what it means, `EventStore` keeps it.
 *
 * A payload may gain optional fields. A change of meaning needs a new type: old logs are replayed
 * for ever.
 */
import * as Schema from "effect/Schema"

import { Count } from "./Bounds.ts"
import { Permission, RateLimit, TokenHash } from "./Capability.ts"
import type { ServiceId, TenantId } from "./Identifier.ts"
import { SecretName } from "./Secret.ts"
import { LoggedSpec } from "./ServiceSpec.ts"

const reason = Schema.String

/** Payload schemas by event type. */
export const payloads = {
  /** A service was started under supervision and its tenant was told so. */
  service_deployed: Schema.Struct({ revision: Count, spec: LoggedSpec }),
  /** A deployment was refused after its spec was accepted; nothing else changed. */
  service_deployment_failed: Schema.Struct({ reason, artifact: Schema.String }),
  /** A tenant ended a service: it stays dead whatever happens (promise 2). */
  service_killed: Schema.Struct({ revision: Count, force: Schema.Boolean }),
  /** A new revision is about to be started beside the running one; `to` is used up by it. */
  hot_swap_started: Schema.Struct({ from: Count, to: Count, artifact: Schema.String }),
  /** The service is `revision` from now on: a swap's only point of no return. */
  hot_swap_succeeded: Schema.Struct({
    revision: Count,
    previousRevision: Count,
    spec: LoggedSpec,
  }),
  /** Revision `to` had taken over, or was left open by a crash; the service is `from` again. */
  hot_swap_rolled_back: Schema.Struct({ from: Count, to: Count, reason }),
  /** Revision `to` never took over; the service is `from` as before. */
  hot_swap_failed: Schema.Struct({ from: Count, to: Count, reason }),
  /** A running service ended without being asked to. */
  service_crashed: Schema.Struct({ revision: Count, reason }),
  /** A service was ended because it broke a limit, `value` in the unit the limit's name says. */
  resource_violation: Schema.Struct({
    revision: Count,
    limit: Schema.String,
    value: Schema.Finite,
    reason,
  }),
  /** The supervisor started a service again. */
  service_restarted: Schema.Struct({ revision: Count, restarts: Count }),
  /** A service crashed more often than its restart intensity allows. */
  service_gave_up: Schema.Struct({ revision: Count, restarts: Count, reason }),
  /** Recovery brought a service back; caused by its `recovery_started`. */
  service_recovered: Schema.Struct({ revision: Count }),
  /** Recovery could not bring a service back; caused by its `recovery_started`. */
  service_recovery_failed: Schema.Struct({ revision: Count, reason }),
  /**
   * Due times of a cron expression passed without `scheduled` being called, or being known to have
   * ended: `count` of them, from `dueAt` to `lastDueAt`, ISO 8601. Each is reported once.
   */
  schedule_missed: Schema.Struct({
    cron: Schema.String,
    dueAt: Schema.String,
    lastDueAt: Schema.String,
    count: Count,
    reason,
  }),
  /**
   * `scheduled` was called for the due time `dueAt` and threw, or took too long. At most a few a
   * minute of one service are recorded; `unrecorded` counts those left out before this one.
   */
  schedule_failed: Schema.Struct({
    cron: Schema.String,
    dueAt: Schema.String,
    reason,
    unrecorded: Count,
  }),
  /** A token exists from now on, if its parent does; `expiresAt` is ISO 8601 or `null`. */
  capability_granted: Schema.Struct({
    tokenHash: TokenHash,
    permissions: Schema.Array(Permission),
    expiresAt: Schema.NullOr(Schema.String),
    rateLimit: Schema.NullOr(RateLimit),
    parent: Schema.NullOr(TokenHash),
  }),
  /** A token is gone, and with it every token attenuated from it, directly or not. */
  capability_revoked: Schema.Struct({ tokenHash: TokenHash, descendants: Count }),
  /**
   * A request was refused for its token; `tokenHash` is `null` for a token nobody granted. At most
   * a few a minute are recorded; `unrecorded` counts those left out before this one.
   */
  capability_denied: Schema.Struct({
    tokenHash: Schema.NullOr(TokenHash),
    reason,
    permission: Schema.NullOr(Permission),
    unrecorded: Count,
  }),
  /** The root token was replaced; the one before is no longer good. */
  root_token_rotated: Schema.Struct({}),
  /** A secret has a new value. No payload ever holds one. */
  secret_stored: Schema.Struct({ name: SecretName }),
  /** A service read a secret; `unrecorded` counts its reads of it since the last such event. */
  secret_accessed: Schema.Struct({ name: SecretName, unrecorded: Count }),
  /** A service asked for a secret that its spec does not name. */
  secret_access_denied: Schema.Struct({ name: Schema.String, reason, unrecorded: Count }),
  /**
   * A service sent a request where it may not: `destination` is `host:port`, or `service:` and an
   * id. At most a few a minute are recorded; `unrecorded` counts those left out before this one.
   */
  fetch_denied: Schema.Struct({ destination: Schema.String, reason, unrecorded: Count }),
  /** A secret is gone, ciphertext and all. */
  secret_revoked: Schema.Struct({ name: SecretName }),
  /** All that a service had stored was removed; what it stores is no event. */
  store_cleared: Schema.Struct({}),
  /** Every data key of the vault is wrapped by a new master key. */
  master_key_rotated: Schema.Struct({ keys: Count }),
  /** A kernel process started on this data directory. */
  system_started: Schema.Struct({
    kernelVersion: Schema.String,
    pid: Count,
    previousEnd: Schema.Literals(["none", "clean", "unclean"]),
  }),
  /** Recovery begins; `services` should run. */
  recovery_started: Schema.Struct({ services: Count }),
  /** Recovery is over; caused by its `recovery_started`. */
  recovery_completed: Schema.Struct({
    recovered: Count,
    skipped: Count,
    failed: Count,
    durationMs: Count,
    timedOut: Schema.Boolean,
  }),
  /** The kernel compared what is with what the log says; `full`: the whole log. */
  verification_completed: Schema.Struct({
    full: Schema.Boolean,
    status: Schema.Literals(["ok", "warning", "error"]),
    eventsChecked: Count,
    inconsistencies: Count,
    durationMs: Count,
  }),
  /** A verification found something new; caused by its `verification_completed`. */
  inconsistency_detected: Schema.Struct({
    invariant: Schema.String,
    promise: Count,
    detail: Schema.String,
    fixable: Schema.Boolean,
  }),
  /** Something was repaired; what that changed is logged just before it. */
  auto_fix_applied: Schema.Struct({
    invariant: Schema.String,
    action: Schema.String,
    detail: Schema.String,
  }),
  system_shutdown_started: Schema.Struct({ reason }),
  /** The last event of a clean run, and only of a clean run (promise 9). */
  system_shutdown_complete: Schema.Struct({ durationMs: Count }),
} as const

/** The catalogue's keys. */
export type EventType = keyof typeof payloads

/** All event types, in catalogue order. */
export const eventTypes = Object.keys(payloads) as ReadonlyArray<EventType>

/** Whether the catalogue knows `type`. */
export const isEventType = (type: string): type is EventType => Object.hasOwn(payloads, type)

/** The payload of one type of event. */
export type Payload<T extends EventType> = (typeof payloads)[T]["Type"]

/** The version of the payload shapes that this kernel writes. */
export const schemaVersion = 1

interface Fact<T extends EventType> {
  readonly type: T
  /** `null` for events of the system. */
  readonly tenantId: TenantId | null
  readonly serviceId: ServiceId | null
  readonly payload: Payload<T>
  /** Id of the token that caused it, or `null` when the kernel did. */
  readonly actor: string | null
  /** Id of the event that caused it. */
  readonly causationId: number | null
}

/** No log gets there: an id beyond it is damage, and none may be given after it. */
export const maxEventId = 2 ** 48

interface Position {
  /** Gapless, from 1 (promise 5). */
  readonly id: number
  /** When it was appended: ISO 8601, UTC, milliseconds. */
  readonly time: string
  /** Version of the payload's shape. */
  readonly version: number
  /** SHA-256, in hex, of this event and the hash before it. */
  readonly hash: string
}

/** A fact on its way to the log. */
export type EventDraft = { readonly [T in EventType]: Fact<T> }[EventType]

/** A fact in the log. */
export type Event = { readonly [T in EventType]: Fact<T> & Position }[EventType]

/** One type of event. */
export type EventOf<T extends EventType> = Extract<Event, { readonly type: T }>

/** What a draft says beside its type and payload; whatever is left out is `null`. */
export interface Origin {
  readonly tenantId?: TenantId
  readonly serviceId?: ServiceId
  readonly actor?: string | null
  readonly causationId?: number | null
}

/** Drafts an event. */
export const draft = <T extends EventType>(
  type: T,
  payload: Payload<T>,
  origin: Origin = {},
): EventDraft =>
  ({
    type,
    payload,
    tenantId: origin.tenantId ?? null,
    serviceId: origin.serviceId ?? null,
    actor: origin.actor ?? null,
    causationId: origin.causationId ?? null,
  }) as Fact<EventType> as EventDraft
