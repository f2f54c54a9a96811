/**
 * What stands between a service's realm and the thread or process that it was given: builds the
 * realm, relays frames as primitives, keeps the bounds that the service must not be trusted with.
 * It is bundled into a driver's entry and knows nothing of its transport.
 */
import * as vm from "node:vm"

import { disarm } from "./Disarm.ts"
import { Inbound, decode, numberOf } from "./Frame.ts"
import { type FillRandom, HostFunctions, guard } from "./HostFunctions.ts"
import { type DescribeCalls, describeStacksWith } from "./StackTraces.ts"

/** What a realm is made of. */
export interface Bundle {
  /** The text of the bundle of `inside/`. */
  readonly bootstrap: string
  /** V8's code cache of that text, if there is one. */
  readonly cachedData: Uint8Array | undefined
}

/** What a runner needs to know. */
export interface Assignment extends Bundle {
  /** The service: one ECMAScript module without imports. */
  readonly code: string
  /** JSON of tenantId, serviceId, revision and env. */
  readonly identity: string
}

interface Realm {
  readonly inbound: ArrayBuffer
  readonly outbound: ArrayBuffer
  readonly receive: (type: number, id: number, text: string, value: number) => void
  readonly start: (evaluated: Promise<void>, namespace: object, identity: string) => unknown
  readonly fail: (error: unknown) => void
  readonly tick: () => void
  readonly reportError: (error: unknown) => void
  readonly describeCalls: DescribeCalls
}

const bootstrapScript = (bootstrap: string, cachedData?: Uint8Array): vm.Script =>
  new vm.Script(
    `(function (hostSend, hostSendBytes, hostWake, hostNow, hostRandom) { "use strict"; let realm; ${bootstrap}\nreturn realm })`,
    { filename: "solo:realm", ...(cachedData === undefined ? {} : { cachedData }) },
  )

const newContext = (): vm.Context =>
  vm.createContext(vm.constants.DONT_CONTEXTIFY, {
    codeGeneration: { strings: false, wasm: false },
  })

/** Does in a realm once what every service does, so that V8 compiles all that it takes. */
const warmUp = async (context: vm.Context, { receive, start }: Realm): Promise<void> => {
  const service = `({ default: { fetch: (request) => new Response(new URL(request.url).pathname) } })`
  const identity = { tenantId: "", serviceId: "", revision: 1, env: {}, crons: [] }
  await start(Promise.resolve(), vm.runInContext(service, context), JSON.stringify(identity))
  const head = ["GET", "http://localhost/", [["x-request-id", ""]], false]
  receive(Inbound.requestHead, 1, JSON.stringify(head), 0)
  await new Promise((resolve) => setTimeout(resolve))
}

/**
 * The code cache to give to later runners. It is made once, of a realm that has answered a request:
 * so it holds the functions that start-up and requests need.
 */
export const makeCodeCache = async (bootstrap: string): Promise<Uint8Array> => {
  const script = bootstrapScript(bootstrap)
  const context = newContext()
  const enter = script.runInContext(context) as (...functions: ReadonlyArray<unknown>) => Realm
  await warmUp(
    context,
    enter(
      ...new HostFunctions(
        () => {},
        () => {},
      ).functions,
    ),
  )
  return script.createCachedData()
}

/** A realm that waits for its service. */
export interface Prepared {
  /** Starts the service; once. `identity` as in {@link Assignment}. */
  readonly assign: (code: string, identity: string) => void
  /** Takes the driver's frames. */
  readonly receive: (frame: unknown) => void
}

/** Builds the realm, starts the service in it, and returns what takes the driver's frames. */
export const run = (
  { code, identity, ...bundle }: Assignment,
  send: (frame: Uint8Array) => void,
  fillRandom: FillRandom,
): ((frame: unknown) => void) => {
  const { assign, receive } = prepare(bundle, send, fillRandom)
  assign(code, identity)
  return receive
}

/**
 * Builds the realm. `send` gets the frames out. Call it once per thread or process, before anything
 * hostile is there: it takes the outer realm's weapons away for good.
 */
export const prepare = (
  { bootstrap, cachedData }: Bundle,
  send: (frame: Uint8Array) => void,
  fillRandom: FillRandom,
): Prepared => {
  const { Buffer, process } = globalThis
  const host = new HostFunctions(send, fillRandom)
  const context = newContext()
  const enter = bootstrapScript(bootstrap, cachedData).runInContext(context) as (
    ...functions: ReadonlyArray<unknown>
  ) => Realm
  const { receive, start, fail, tick, reportError, describeCalls, ...memory } = enter(
    ...host.functions,
  )
  const inbound = new Uint8Array(memory.inbound)
  host.connect({ outbound: new Uint8Array(memory.outbound), tick })

  const fall = (error: unknown): void => {
    guard(undefined, () => reportError(error))
    host.fail()
  }
  process.on("unhandledRejection", fall)
  process.on("uncaughtException", fall)
  describeStacksWith(describeCalls)
  disarm()
  const assign = (code: string, identity: string) =>
    guard(undefined, () => {
      try {
        const module = load(context, code)
        // What evaluation returns is a promise of the realm: whatever this side did with it could
        // hand functions of this realm to a `then` of the service's. Only the realm may touch it.
        void start(module.evaluate(), module.namespace, identity)
      } catch (error) {
        fail(error)
      }
    })

  const take = (bytes: unknown): void => {
    const frame = decode(bytes)
    if (frame === undefined) return
    const { type, id, body } = frame
    if (type === Inbound.errandEnd || type === Inbound.errandFailed) host.closeErrand(id)
    let text = ""
    let value = numberOf(frame)
    if (type === Inbound.requestHead || type === Inbound.scheduled) {
      text = Buffer.from(body.buffer, body.byteOffset, body.length).toString()
      if (type === Inbound.requestHead) host.open(id)
    } else if (type === Inbound.secretAnswer) {
      text = Buffer.from(body.buffer, body.byteOffset, body.length).toString("utf8", 1)
      value = body[0] ?? 0
    } else if (
      type === Inbound.requestChunk ||
      type === Inbound.storeAnswer ||
      type === Inbound.errandChunk
    ) {
      inbound.set(body)
      value = body.length
    } else if (type === Inbound.errandHead || type === Inbound.errandFailed) {
      text = Buffer.from(body.buffer, body.byteOffset, body.length).toString()
    } else if (type === Inbound.errandCredit) host.creditErrand(id, value)
    else if (type === Inbound.responseCredit) host.credit(id, value)
    else if (type === Inbound.abort) host.close(id)
    guard(undefined, () => receive(type, id, text, value))
  }
  return { assign, receive: take }
}

const load = (context: vm.Context, code: string): vm.SourceTextModule => {
  const module = new vm.SourceTextModule(code, {
    context,
    identifier: "service",
    // Node would reject with an Error of this realm; a text leads nowhere.
    importModuleDynamically: () => {
      throw "a service is one file: it cannot import anything"
    },
  })
  if (module.moduleRequests.length > 0)
    throw new TypeError("a service is one file: it cannot import anything")
  module.linkRequests([])
  module.instantiate()
  return module
}
