/**
 * Starts services through whatever `Runtime` is there and talks to them, for tests.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  type Instance,
  type Program,
  Runtime,
  ServiceId,
  ServiceLimits,
  type ServiceLogLine,
  type ServiceRequest,
  TenantId,
} from "solo"

const refused = Effect.fail({ code: "unavailable", message: "there is no store" } as const)

/** A store that refuses everything. */
export const noStore: Program["store"] = {
  get: () => refused,
  list: () => refused,
  write: () => refused,
}

/** A program of `code`, with defaults for whatever else it has. */
export const programOf = (code: string, options: Partial<Program> = {}): Program => ({
  name: { tenantId: TenantId.make("acme"), serviceId: ServiceId.make("greeter") },
  revision: 3,
  code,
  limits: Schema.decodeSync(ServiceLimits)({ heapMb: 32 }),
  env: {},
  crons: [],
  log: () => {},
  readSecret: (name) => Effect.fail({ message: `there is no secret ${name}` }),
  store: noStore,
  fetch: () => Effect.fail({ message: "this service reaches nothing" }),
  ...options,
})

/** An instance, and what its service has logged so far. */
export interface Heard extends Instance {
  readonly lines: ReadonlyArray<ServiceLogLine>
}

/** Starts `code`. */
export const startService = Effect.fn(function* (code: string, options?: Partial<Program>) {
  const runtime = yield* Runtime
  const lines: Array<ServiceLogLine> = []
  const log = (line: ServiceLogLine) => void lines.push(line)
  const instance = yield* runtime.start(programOf(code, { log, ...options }))
  return { ...instance, lines } satisfies Heard
})

/** A service whose `fetch` has `body` as its body. */
export const fetching = (body: string): string =>
  `export default { async fetch(request, ctx) { ${body} } }`

/** Bytes of a text, as a request's body. */
export const bodyOf = (...texts: ReadonlyArray<string>): NonNullable<ServiceRequest["body"]> =>
  Stream.fromIterable(texts.map((text) => new TextEncoder().encode(text)))

/** Sends a request and reads all of the response. */
export const ask = (instance: Instance, request: Partial<ServiceRequest> = {}) =>
  Effect.scoped(
    Effect.gen(function* () {
      const response = yield* instance.request({
        method: "GET",
        url: "http://greeter/",
        headers: [],
        body: null,
        ...request,
      })
      const chunks = response.body === null ? [] : yield* Stream.runCollect(response.body)
      const text = Buffer.concat(chunks).toString()
      return { status: response.status, headers: Object.fromEntries(response.headers), text }
    }),
  )

/** Starts a service and asks it once. */
export const askOnce = Effect.fn(function* (code: string, request?: Partial<ServiceRequest>) {
  return yield* ask(yield* startService(code), request)
})

/** Waits for a line that matches; the lines up to the first of them. */
export const logUntil = ({ lines }: Heard, pattern: RegExp) =>
  Effect.sync(() => lines.findIndex(({ message }) => pattern.test(message))).pipe(
    Effect.repeat({ until: (at) => at >= 0, schedule: Schedule.spaced(5) }),
    Effect.map((at) => lines.slice(0, at + 1)),
  )
