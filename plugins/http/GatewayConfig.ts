/**
 * The gateway's configuration: every bound it holds clients to, with defaults. It owns names,
 * ranges and defaults; what a bound protects is enforced where the request passes.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { between } from "solo"

const number = (minimum: number, maximum: number, fallback: number, description: string) =>
  between(minimum, maximum)
    .annotate({ description })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(fallback)))

const milliseconds = (fallback: number, description: string) =>
  number(1, 86_400_000, fallback, description)

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

/** The plugin's section of the configuration. Durations are milliseconds, sizes are bytes. */
export const GatewayConfig = Schema.Struct({
  host: Schema.String.check(Schema.isMinLength(1))
    .annotate({ description: "Address to listen on." })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("127.0.0.1"))),
  port: number(0, 65_535, 8080, "Port to listen on; 0 takes a free one."),
  maxBodyBytes: number(
    kibibyte,
    64 * mebibyte,
    2 * mebibyte,
    "Largest request body of the kernel's own API.",
  ),
  maxIngressBodyBytes: number(
    kibibyte,
    1024 * mebibyte,
    10 * mebibyte,
    "Largest request body on its way into a service. It is streamed, never held as a whole.",
  ),
  maxHeaderBytes: number(
    kibibyte,
    mebibyte,
    16 * kibibyte,
    "Largest request line and headers together.",
  ),
  maxConnections: number(
    1,
    1_000_000,
    10_000,
    "Open connections; further ones are closed at once.",
  ),
  maxEventStreams: number(1, 100_000, 256, "Server-sent event streams open at once."),
  maxInFlight: number(
    1,
    1_000_000,
    2048,
    "Requests with a good token in flight at once. One tenant gets no more than are still free: at most half of them when it is alone, a third when another has as many. An eighth is only for the API.",
  ),
  maxInFlightPerTenant: number(
    1,
    1_000_000,
    512,
    "Requests of one tenant in flight at once. An eighth is only for the API.",
  ),
  maxBegunPerTurn: number(
    1,
    10_000,
    8,
    "Requests begun per turn of the event loop, tenants taking turns. Small is fair, large is a little faster.",
  ),
  requestTimeoutMs: milliseconds(
    330_000,
    "How long a call of the API may take until its response begins. The default leaves room for the longest start-up timeout a service may ask for.",
  ),
  bodyTimeoutMs: milliseconds(
    30_000,
    "How long a client may take to send the body of an API call.",
  ),
  headersTimeoutMs: milliseconds(10_000, "How long a client may take to send its headers."),
  receiveTimeoutMs: milliseconds(
    300_000,
    "How long a client may take to send a whole request, body included, on any route.",
  ),
  keepAliveTimeoutMs: milliseconds(65_000, "How long an idle connection is kept open."),
  idleTimeoutMs: milliseconds(
    660_000,
    "How long a connection may go without a byte in either direction. The default leaves room for the longest request timeout a service may ask for.",
  ),
  streamKeepAliveMs: milliseconds(
    15_000,
    "How often a silent event stream sends a comment, so that nobody in between takes it for dead.",
  ),
  drainTimeoutMs: milliseconds(
    2000,
    "How long shutdown waits for requests in flight before it closes their connections. A fifth of `SOLO_SHUTDOWN_TIMEOUT_MS`, unless it is set here.",
  ),
})
/** @see {@link GatewayConfig} */
export type GatewayConfig = typeof GatewayConfig.Type
