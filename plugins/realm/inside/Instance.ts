/**
 * The service inside the realm: checks what its module exports, runs start, fetch and stop, and
 * builds the `ctx` they get.
 */
import { Inbound, Outbound } from "../Frame.ts"
import { log } from "./Console.ts"
import { isErrand, receiveErrand } from "./Errand.ts"
import { AbortController } from "./Events.ts"
import { Exchange } from "./Exchange.ts"
import { describeStack } from "./Failure.ts"
import { services } from "./Fetch.ts"
import { send, takeInbound } from "./Host.ts"
import { type Request, received } from "./Messages.ts"
import { abortScheduled, runScheduled } from "./Scheduled.ts"
import { answerSecret, refuseSecrets, secrets } from "./Secrets.ts"
import { answerStore, store } from "./Store.ts"

interface Service {
  readonly fetch: (request: Request, ctx: unknown) => unknown
  readonly start?: unknown
  readonly stop?: unknown
  readonly scheduled?: unknown
}

/** What the kernel says about the instance. */
interface Identity {
  readonly tenantId: string
  readonly serviceId: string
  readonly revision: number
  readonly env: Readonly<Record<string, string>>
  readonly crons: ReadonlyArray<string>
}

const { parse } = JSON
const stopping = new AbortController()
const exchanges = new Map<number, Exchange>()
let service: Service | undefined
let ctx: unknown

const shape = "write `export default { fetch(request, ctx) { … } }`"

const serviceOf = (value: unknown, crons: ReadonlyArray<string>): Service => {
  if (typeof value === "function")
    throw new TypeError(`the default export is a function, but must be an object: ${shape}`)
  if (typeof value !== "object" || value === null)
    throw new TypeError(`the default export must be an object: ${shape}`)
  const { fetch, scheduled, start, stop } = value as Record<string, unknown>
  if (typeof fetch !== "function")
    throw new TypeError(`the default export has no method fetch: ${shape}`)
  for (const [name, method] of Object.entries({ start, stop, scheduled }))
    if (method !== undefined && typeof method !== "function")
      throw new TypeError(`the default export's ${name} must be a function`)
  if (crons.length > 0 && scheduled === undefined)
    throw new TypeError(
      `the spec has crons, but the default export has no method scheduled: write \`export default { fetch(request, ctx) { … }, scheduled(event, ctx) { … } }\``,
    )
  return value as Service
}

const call = (name: "start" | "stop"): unknown => {
  const method = service?.[name]
  return typeof method === "function" ? Reflect.apply(method, service, [ctx]) : undefined
}

/** Starts the service of a module once it is evaluated. Nothing outside may await the result. */
export const start = async (
  evaluated: Promise<void>,
  namespace: { readonly default?: unknown },
  identity: string,
): Promise<void> => {
  try {
    await evaluated
    const { tenantId, serviceId, revision, env, crons } = parse(identity) as Identity
    ctx = Object.freeze({
      tenantId,
      serviceId,
      revision,
      env: Object.freeze(env),
      log,
      secrets,
      store,
      services,
      signal: stopping.signal,
    })
    service = serviceOf(namespace.default, crons)
    await call("start")
    send(Outbound.ready, 0, "")
  } catch (error) {
    fail(error)
  }
}

/** Says why the service could not start, with the stack. */
export const fail = (error: unknown): void => {
  send(Outbound.failed, 0, describeStack(error))
}

const answer = async (id: number, head: string): Promise<void> => {
  const [method, url, headers, hasBody] = parse(head) as [
    string,
    string,
    ReadonlyArray<readonly [string, string]>,
    boolean,
  ]
  const exchange = new Exchange(id, hasBody)
  exchanges.set(id, exchange)
  try {
    const request = received({
      method,
      url,
      headers,
      body: exchange.body,
      signal: exchange.controller.signal,
    })
    await exchange.respond(await service!.fetch(request, ctx), method === "HEAD")
    exchange.finish()
  } catch (error) {
    if (!exchange.ended) send(Outbound.log, 3, `fetch threw ${describeStack(error)}`)
    exchange.finish({ thrown: error })
  } finally {
    exchanges.delete(id)
  }
}

const callScheduled = (event: unknown): unknown => {
  const method = service?.scheduled
  if (typeof method !== "function") throw new TypeError("the service has no method scheduled")
  return Reflect.apply(method, service, [event, ctx])
}

const stop = async (): Promise<void> => {
  stopping.abort()
  refuseSecrets()
  try {
    await call("stop")
  } catch (error) {
    send(Outbound.log, 3, `stop threw ${describeStack(error)}`)
  }
  send(Outbound.stopped, 0, "")
}

/** Takes a frame: its text is set for heads, `value` is a number or a length in the window. */
export const receive = (type: number, id: number, text: string, value: number): void => {
  if (type === Inbound.requestHead) void answer(id, text)
  else if (type === Inbound.stop) void stop()
  else if (type === Inbound.scheduled) void runScheduled(id, text, callScheduled)
  else if (type === Inbound.secretAnswer) answerSecret(id, value === 1, text)
  else if (type === Inbound.storeAnswer) answerStore(id, takeInbound(value))
  else if (isErrand(type)) receiveErrand(type, id, text, value)
  else {
    const exchange = exchanges.get(id)
    if (type === Inbound.requestChunk) exchange?.receive(takeInbound(value))
    else if (type === Inbound.requestEnd) exchange?.receive("end")
    else if (type === Inbound.requestBroken) exchange?.receive("broken")
    else if (type === Inbound.responseCredit) exchange?.credit(value)
    else if (type === Inbound.abort) {
      exchanges.delete(id)
      exchange?.abort()
      abortScheduled(id)
    }
  }
}
