/**
 * What a tenant asks for when it deploys a service, with the defaults and bounds of every field.
 * It owns the shape and the limits; compiling and running the source is the runtime's business.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import { bounded } from "./Bounds.ts"
import { destinationOf } from "./Destination.ts"
import { GivenServiceId, ServiceId } from "./Identifier.ts"
import { Crons, LoggedCrons } from "./Timetable.ts"
import { holdsToken } from "./Token.ts"

/** Largest accepted source text, in UTF-8 bytes. */
export const maxSourceBytes = 1024 * 1024

/** Bounds of one service. Durations are milliseconds, except `maxSeconds`. */
export const ServiceLimits = Schema.Struct({
  /** JavaScript heap, in MiB. */
  heapMb: bounded(8, 4096, 64),
  /** Share of one processor, averaged over some seconds; beyond it the service is ended. */
  cpuPercent: bounded(1, 10_000, 200),
  /** How long module evaluation and `start` may take together. */
  startupTimeoutMs: bounded(10, 300_000, 5000),
  /** How long `stop` may take before the service is killed. */
  shutdownTimeoutMs: bounded(10, 300_000, 5000),
  /** How long one request may take until its response begins. */
  requestTimeoutMs: bounded(10, 600_000, 30_000),
  /** Restart intensity: more than `maxRestarts` within `maxSeconds` and the service gives up. */
  maxRestarts: bounded(0, 1000, 5),
  maxSeconds: bounded(1, 86_400, 60),
})
/** @see {@link ServiceLimits} */
export type ServiceLimits = typeof ServiceLimits.Type

/**
 * When a service that ended is started again: `permanent` always, `transient` only after a crash,
 * `temporary` never.
 */
export const RestartType = Schema.Literals(["permanent", "transient", "temporary"])
/** @see {@link RestartType} */
export type RestartType = typeof RestartType.Type

/** The language of a source text. Types in `typescript` are stripped, never checked. */
export const SourceFormat = Schema.Literals(["typescript", "javascript"])
/** @see {@link SourceFormat} */
export type SourceFormat = typeof SourceFormat.Type

const names = (maximum: number) =>
  Schema.Array(Schema.String.check(Schema.isBetweenLength(1, 256)))
    .check(Schema.isMaxLength(maximum))
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed([])))

const VariableName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, {
    expected: "1 to 128 characters out of A-Z, a-z, 0-9 and _, no digit first",
  }),
)

const HealthPath = Schema.String.check(
  Schema.isPattern(/^\/[!"$-~]{0,1023}$/, {
    expected: "a path, and a query if need be: / and at most 1023 visible ASCII characters but #",
  }),
)
const isServiceId = Schema.is(GivenServiceId)

/** Everything about a service but its name and source. */
const terms = {
  format: SourceFormat.pipe(Schema.withDecodingDefaultKey(Effect.succeed("typescript" as const))),
  limits: ServiceLimits.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  restart: RestartType.pipe(Schema.withDecodingDefaultKey(Effect.succeed("permanent" as const))),
  /** Plain configuration the service reads as `ctx.env`. At most 128 entries. Not for secrets. */
  env: Schema.Record(Schema.String, Schema.String.check(Schema.isMaxLength(32_768)))
    // A check of its own: a record whose key schema refuses a name drops the entry silently.
    .check(Schema.isPropertyNames(VariableName), Schema.isMaxProperties(128))
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  /** Names of the tenant's secrets that the service may read. */
  secrets: names(128),
  /** Services of the same tenant that the service may call; `*` for all of them. */
  services: names(128),
  /** Destinations, `host:port`, that the service may reach. Old logs hold other texts too. */
  network: names(128),
  /** Path that a new revision must answer with 2xx before a hot swap hands it requests. */
  healthPath: Schema.NullOr(HealthPath).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null))),
}

/** What `POST /v1/services` accepts. */
export const ServiceSpec = Schema.Struct({
  serviceId: GivenServiceId,
  source: Schema.String.check(Schema.isMinLength(1)),
  ...terms,
  // Whatever of a spec is a name or an address is kept in the log, where no token may be.
  env: terms.env.check(
    Schema.makeFilter(
      (env) => !Object.keys(env).some(holdsToken) || "Expected names that hold no token",
    ),
  ),
  healthPath: terms.healthPath.check(
    Schema.makeFilter(
      (path) => path === null || !holdsToken(path) || "Expected a path that holds no token",
    ),
  ),
  secrets: terms.secrets.check(
    Schema.makeFilter((entries) => {
      const wrong = entries.findIndex(holdsToken)
      return wrong === -1 || { path: [wrong], issue: "Expected the name of a secret, not a token" }
    }),
  ),
  services: terms.services.check(
    Schema.makeFilter((ids) => {
      const wrong = ids.findIndex((id) => id !== "*" && !isServiceId(id))
      return wrong === -1 || { path: [wrong], issue: "Expected the id of a service, or *" }
    }),
  ),
  network: terms.network.check(
    Schema.makeFilter((entries) => {
      const wrong = entries.findIndex(
        (entry) => destinationOf(entry) === undefined || holdsToken(entry),
      )
      const issue = "Expected host:port, such as example.com:443"
      return wrong === -1 || { path: [wrong], issue }
    }),
  ),
  /** When `scheduled` is called: cron expressions in UTC, five fields or six with seconds first. */
  crons: Crons.pipe(Schema.withDecodingDefaultKey(Effect.succeed([]))),
})
/** @see {@link ServiceSpec} */
export type ServiceSpec = typeof ServiceSpec.Type

/** A spec as the log keeps it: the source replaced by the SHA-256 of its artifact, in hex. */
export const LoggedSpec = Schema.Struct({
  serviceId: ServiceId,
  artifact: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  ...terms,
  crons: LoggedCrons.pipe(Schema.withDecodingDefaultKey(Effect.succeed([]))),
})
/** @see {@link LoggedSpec} */
export type LoggedSpec = typeof LoggedSpec.Type

/** The spec to log for `spec`, whose source is stored under `artifact`. */
export const toLogged = (spec: ServiceSpec, artifact: string): LoggedSpec => {
  const { source: _, ...rest } = spec
  return { ...rest, artifact }
}

/** Whether two specs ask for the same thing: then deploying one over the other changes nothing. */
export const isSameSpec: (left: LoggedSpec, right: LoggedSpec) => boolean =
  Schema.toEquivalence(LoggedSpec)
