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
