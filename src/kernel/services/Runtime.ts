/**
 * The port to whatever isolates and runs services. A driver plugin provides it; its contract suite
 * is `test/contract/Runtime.ts`. It owns single instances: when to start one, how long to wait and
 * when to try again is the supervisor's business.
 *
 * Every timeout is enforced by the kernel through interruption, so a driver must stay responsive
 * to it whatever the service does: a service that never yields is killed, not waited for.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { ServiceName } from "../../domain/Identifier.ts"
import type { Batch, Entry, StorePage, StoreQuery } from "../../domain/KeyValue.ts"
import type { ServiceLimits } from "../../domain/ServiceSpec.ts"

/** The service's `start` (or the evaluation of its module) failed; nothing is left running. */
export class StartFailed extends Schema.TaggedError<StartFailed>()("StartFailed", {
  /** What the service threw, for its author. At most 4 KiB. */
  message: Schema.String,
}) {}

/** The service threw, broke off its response, or answered with something that is no response. */
export class ServiceThrew extends Schema.TaggedError<ServiceThrew>()("ServiceThrew", {
  message: Schema.String,
}) {}

/**
 * No instance is there to answer, or it ended before it had. Only what is `undelivered` may safely
 * be asked again: of the rest a service may have done anything.
 */
export class NotRunning extends Schema.TaggedError<NotRunning>()("NotRunning", {
  message: Schema.String,
  /** `true` only where it is certain that nothing of the request or event reached the service. */
  undelivered: Schema.optionalKey(Schema.Boolean),
}) {}

/** The instance answers as many requests as it may at once. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {
  message: Schema.String,
}) {}

/** The request's URL and headers are more than an instance takes; nothing of it was delivered. */
export class HeadTooLarge extends Schema.TaggedError<HeadTooLarge>()("HeadTooLarge", {
  /** What the bounds are. */
  message: Schema.String,
}) {}

/** Why an instance did not answer a request. */
export type RequestError = ServiceThrew | NotRunning | Overloaded | HeadTooLarge

/** A limit that an instance was ended for. */
export interface Violation {
  /** The limit's name, such as `heapMb` or `stallMs`. */
  readonly limit: string
  /** The limit itself, in the unit its name says. */
  readonly value: number
}

/** The instance was running and ended without having been asked to. */
export interface Crashed {
  readonly _tag: "Crashed"
  readonly reason: string
  /** The limit it broke, if that is why it ended; the reason names it too. */
  readonly violation?: Violation
}

/** The instance ended because `stop` or `kill` asked it to, or its scope closed. */
export interface Stopped {
  readonly _tag: "Stopped"
}

/** How an instance ended. */
export type InstanceExit = Crashed | Stopped

/** A request on its way into a service. */
export interface ServiceRequest {
  readonly method: string
  /** Absolute URL as the service sees it; path and query are those after the service id. */
  readonly url: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** The body, or `null` when there is none. Pulled only as fast as the service reads. */
  readonly body: Stream.Stream<Uint8Array, unknown> | null
}

/** A response on its way out of a service. */
export interface ServiceResponse {
  /** 200 to 599. */
  readonly status: number
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** The body, or `null` when there is none. The service produces only as fast as it is pulled. */
  readonly body: Stream.Stream<Uint8Array, ServiceThrew> | null
  /** The entire body, where the driver has it at hand: what `body` would give, at less cost. */
  readonly whole?: Uint8Array
}

/** A due time, on its way to a service's `scheduled`. */
export interface ScheduledEvent {
  /** The cron expression, as the spec has it. */
  readonly cron: string
  /** The due time, in milliseconds since 1970. */
  readonly scheduledTime: number
}

/** A request on its way out of a service. Every field is the service's word and nothing else. */
export interface OutgoingRequest {
  /** The service of the same tenant that it is for; `null` for the network, as `url` says. */
  readonly to: string | null
  readonly method: string
  /** Absolute URL, not checked. */
  readonly url: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** The body, or `null` when there is none. The service produces only as fast as it is pulled. */
  readonly body: Stream.Stream<Uint8Array, { readonly message: string }> | null
  /** The body's length, where the service knows it: the driver fails the body if it is another. */
  readonly bodyBytes: number | undefined
}

/** The answer to a request that went out of a service. */
export interface OutgoingResponse {
  /** 200 to 599. */
  readonly status: number
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** The body, or `null` when there is none. Pulled only as fast as the service reads. */
  readonly body: Stream.Stream<Uint8Array, { readonly message: string }> | null
}

/** Levels of a service's own log. */
export type ServiceLogLevel = "debug" | "info" | "warn" | "error"

/** One line of a service's log: `ctx.log`, `console`, or captured output. At most 8 KiB. */
export interface ServiceLogLine {
  /** ISO 8601, UTC, milliseconds. */
  readonly time: string
  readonly level: ServiceLogLevel
  readonly message: string
  /** What the service said beside the message: a JSON object of at most 4 KiB. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** What an instance uses. Real figures, cheap to ask for. */
export interface InstanceStats {
  readonly memoryBytes: number
  readonly cpuMs: number
  readonly inFlight: number
}

/** Why a service's store did not do what it was asked: nothing was changed. */
export interface StoreRefusal {
  /** For the service's program; the names are part of the interface to services. */
  readonly code:
    | "invalid"
    | "conflict"
    | "quota-exceeded"
    | "overloaded"
    | "damaged"
    | "disk-full"
    | "unavailable"
  /** For the service's author. */
  readonly message: string
  /** With the code `conflict`: the key whose condition does not hold, and the version there is. */
  readonly conflict?: { readonly key: string; readonly version: number | null }
}

/** The store of one service. @see KeyValueStore */
export interface ServiceStore {
  readonly get: (key: string) => Effect.Effect<Entry | undefined, StoreRefusal>
  readonly list: (query: StoreQuery) => Effect.Effect<StorePage, StoreRefusal>
  readonly write: (batch: Batch) => Effect.Effect<number, StoreRefusal>
}

/** Everything a driver needs to start a service. */
export interface Program {
  readonly name: ServiceName
  readonly revision: number
  /** The compiled source: one ECMAScript module without imports. */
  readonly code: string
  readonly limits: ServiceLimits
  readonly env: Readonly<Record<string, string>>
  /** Its cron expressions. A service that has some and no method `scheduled` does not start. */
  readonly crons: ReadonlyArray<string>
  /**
   * Takes a line of the service's log, from the evaluation of its module on: what a service says
   * before it fails to start is what its author needs. Never waits and never throws. No line comes
   * once the instance's exit has completed. A driver bounds how many come.
   */
  readonly log: (line: ServiceLogLine) => void
  /**
   * The value of a secret that the service asks for by any name at all. What fails says why, for
   * the service to read; it never holds a value. A driver bounds how many it asks for at once.
   */
  readonly readSecret: (
    name: string,
  ) => Effect.Effect<Redacted.Redacted<string>, { readonly message: string }>
  /**
   * The service's own store, and no other's, until its `stop` has returned. A driver bounds how
   * much of it an instance uses at once, and ends that when the instance has ended.
   */
  readonly store: ServiceStore
  /**
   * Carries a request that the service makes, wherever it wants it to go. Succeeds when the
   * response begins; its body is valid while the scope is open, and closing that gives up what
   * still runs. What fails says why, for the service to read. A driver bounds how many there are
   * at once.
   */
  readonly fetch: (
    request: OutgoingRequest,
  ) => Effect.Effect<OutgoingResponse, { readonly message: string }, Scope.Scope>
}

/** One running service. It lives as long as the scope it was started in. */
export interface Instance {
  /**
   * Hands a request to the service's `fetch`. Succeeds when the response begins. Closing the scope
   * or interrupting aborts the request inside the service (`request.signal`).
   */
  readonly request: (
    request: ServiceRequest,
  ) => Effect.Effect<ServiceResponse, RequestError, Scope.Scope>
  /**
   * Calls the service's `scheduled`; succeeds when that has ended. Interrupting aborts it inside the
   * service (`event.signal`). It counts as a request in flight.
   */
  readonly scheduled: (event: ScheduledEvent) => Effect.Effect<void, RequestError>
  /** Lets requests in flight end, runs the service's `stop`, ends the instance. Idempotent. */
  readonly stop: Effect.Effect<void>
  /** Ends the instance at once, whatever it does. Idempotent. */
  readonly kill: Effect.Effect<void>
  readonly stats: Effect.Effect<InstanceStats>
  /** Completes once, when the instance has ended and all it used is released. */
  readonly exit: Effect.Effect<InstanceExit>
}

/** One of the walls between a service and everything else. */
export interface Wall {
  readonly name: string
  /** Whether it was found to hold when the driver started. */
  readonly stands: boolean
  /** What it keeps out, or why it does not stand, in one sentence for people. */
  readonly detail: string
}

/** A runtime driver. */
export class Runtime extends Context.Service<
  Runtime,
  {
    /** The driver's name, as `SOLO_RUNTIME` selects it. */
    readonly driver: string
    /** What separates services from the kernel and from each other, in one sentence for people. */
    readonly isolation: string
    /** The walls the driver can build, the outermost first. */
    readonly walls: ReadonlyArray<Wall>
    /**
     * Evaluates `program` in isolation and runs its `start`; succeeds when it can take requests.
     * Interruption, failure and the end of the scope leave nothing behind.
     */
    readonly start: (program: Program) => Effect.Effect<Instance, StartFailed, Scope.Scope>
  }
>()("solo/kernel/services/Runtime") {}
