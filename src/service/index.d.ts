/**
 * Types for authors of services: the shape of a service and of the `ctx` that its methods get.
 * Importing anything from here also declares the globals of a service and no others, so that
 * `"lib": ["ESNext"], "types": []` is all that a tsconfig needs, and what is not there, such as
 * `process`, `Buffer` or `document`, is an error. Nothing here exists at run time: use
 * `import type`.
 *
 *     import type { Service } from "solo/service"
 *
 *     export default {
 *       fetch: (request, ctx) => new Response(`hello from ${ctx.serviceId}`),
 *     } satisfies Service
 */
/// <reference path="./web.d.ts" />
/// <reference path="./streams.d.ts" />

/** What the default export of a service is. */
export interface Service {
  /**
   * Answers a request. `request.signal` is aborted when nobody waits for the answer any more. What
   * it throws is answered with 502.
   */
  fetch(request: Request, ctx: Context): Response | Promise<Response>
  /** Runs once, before the first request. Until it returns, the service is not deployed. */
  start?(ctx: Context): unknown
  /** Runs once, after the last request: the last chance to tidy up. */
  stop?(ctx: Context): unknown
  /**
   * Runs at the times that `crons` of the spec name, each at most once; a spec that names some needs
   * it. What it throws is logged and recorded.
   */
  scheduled?(event: ScheduledEvent, ctx: Context): unknown
}

/** A due time. */
export interface ScheduledEvent {
  readonly type: "scheduled"
  /** The cron expression, as the spec has it. */
  readonly cron: string
  /** The due time, in milliseconds since 1970. */
  readonly scheduledTime: number
  /** Aborted when nobody waits for the run any more. */
  readonly signal: AbortSignal
}

/** What a service was given. */
export interface Context {
  readonly tenantId: string
  readonly serviceId: string
  /** Which spec of the service this is, from 1. */
  readonly revision: number
  /** The plain strings of the spec. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The service's log, where `console` writes, too. */
  readonly log: Log
  readonly secrets: Secrets
  /** The tenant's other services. */
  readonly services: Services
  readonly store: Store
  /** Aborted when the service is to stop. */
  readonly signal: AbortSignal
}

/**
 * The service's log: one line a call, at most 8 KiB. It takes what `console.log` takes; a plain
 * object behind a message becomes the fields of the line.
 */
export interface Log {
  debug(...values: ReadonlyArray<unknown>): void
  info(...values: ReadonlyArray<unknown>): void
  warn(...values: ReadonlyArray<unknown>): void
  error(...values: ReadonlyArray<unknown>): void
}

/** The tenant's secrets that the spec names. */
export interface Secrets {
  /**
   * The text of a secret, as it is now. Rejects where the spec does not name it, where there is
   * none, or where it cannot be read at the moment; the message says which.
   */
  get(name: string): Promise<string>
}

/** The tenant's other services that the spec names. */
export interface Services {
  /**
   * Sends a request to another service of the tenant; `input` may also be a path. Answers as a
   * client would be answered: 404 where there is no such service, 502, 503 or 504 where it fails,
   * 508 for calls in a circle. Rejects with a `TypeError` that says why where nothing was sent, as
   * where the spec does not name the service.
   */
  fetch(serviceId: string, input: Request | string | URL, init?: RequestInit): Promise<Response>
}

/** What can be stored: JSON, or bytes. What is not, such as a function or NaN, is refused. */
export type StoreValue = NonNullable<unknown> | null

/** A key, its value, and the version that it was written with. */
export interface StoreEntry<T = any> {
  readonly key: string
  readonly value: T
  readonly version: number
}

/** One change of a batch. */
export type StoreWrite =
  | { readonly type: "put"; readonly key: string; readonly value: StoreValue }
  | { readonly type: "delete"; readonly key: string }

/** What must hold for a batch to happen: the key's version, or `null` for no entry. */
export interface StoreCondition {
  readonly key: string
  readonly version: number | null
}

/** What the store's promises reject with, where a question was right and was refused. */
export interface StoreError extends Error {
  readonly name: "StoreError"
  /** Why, for a program; a condition that did not hold is `conflict`. */
  readonly code:
    | "conflict"
    | "quota-exceeded"
    | "overloaded"
    | "disk-full"
    | "damaged"
    | "unavailable"
  /** Of a `conflict`: the key, and the version it has. */
  readonly key?: string
  readonly version?: number | null
}

/** The service's own durable store: what a promise acknowledged is there after any crash. */
export interface Store {
  /** The value under a key, or `undefined`: a new one each time. */
  get<T = any>(key: string): Promise<T | undefined>
  /** The same with its version. */
  entry<T = any>(key: string): Promise<StoreEntry<T> | undefined>
  /** Stores a value; answers its version. */
  put(key: string, value: StoreValue): Promise<number>
  /** Removes an entry, if there is one. */
  delete(key: string): Promise<number>
  /** Entries by key, at most `limit` of them (100 unless given, 1 to 1000); the cursor goes on. */
  list<T = any>(options?: {
    readonly prefix?: string
    readonly cursor?: string | null | undefined
    readonly limit?: number
  }): Promise<{
    readonly entries: ReadonlyArray<StoreEntry<T>>
    readonly cursor: string | undefined
  }>
  /** All writes or none, and only if all conditions hold. */
  batch(
    writes: ReadonlyArray<StoreWrite>,
    options?: { readonly conditions?: ReadonlyArray<StoreCondition> },
  ): Promise<number>
}
