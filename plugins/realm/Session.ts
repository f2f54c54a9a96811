/**
 * The kernel's side of one instance, whatever carries its frames: waits for its start, runs its
 * requests, drains and stops it. Every frame that comes is treated as hostile: what
 * is out of place ends the instance, what is merely late is ignored.
 *
 * Starting, ending and measuring the thread or process is the driver's business.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import {
  HeadTooLarge,
  NotRunning,
  Overloaded,
  type Program,
  type RequestError,
  type ScheduledEvent,
  type ServiceRequest,
  type ServiceResponse,
  ServiceThrew,
  StartFailed,
} from "solo"

import { Call } from "./Call.ts"
import { FetchDesk } from "./FetchDesk.ts"
import {
  type Frame,
  Inbound,
  Outbound,
  decode,
  encode,
  maxBodyBytes,
  maxHeaderLength,
  maxHeaders,
  maxPendingRequests,
  numberOf,
} from "./Frame.ts"
import { requestHead } from "./Head.ts"
import { LogDesk, textOf } from "./LogDesk.ts"
import { ScheduleDesk } from "./ScheduleDesk.ts"
import { SecretDesk } from "./SecretDesk.ts"
import { StoreDesk } from "./StoreDesk.ts"

/** What a service learns about itself, as the runner takes it. */
export const identityOf = (program: Program): string =>
  JSON.stringify({
    ...program.name,
    revision: program.revision,
    env: program.env,
    crons: program.crons,
  })

const headTooLarge = new HeadTooLarge({
  message: `a service takes at most ${maxHeaders} headers of ${maxHeaderLength / 1024} KiB, and ${maxBodyBytes / 1024} KiB of URL and headers together`,
})

/** What a driver does for a session. */
export interface Carrier {
  /** Sends a frame to the instance; without effect when it has ended. */
  readonly send: (frame: Uint8Array) => void
  /** The instance has failed for this reason, and must be ended. Called at most once. */
  readonly broken: (reason: string) => void
}

/** One instance in conversation. */
export class Session {
  readonly #carrier: Carrier
  /** Where lines of the service's log come in. */
  readonly log: LogDesk
  readonly #secrets: SecretDesk
  readonly #store: StoreDesk
  readonly #errands: FetchDesk
  readonly #calls = new Map<number, Call>()
  readonly #scheduled: ScheduleDesk
  readonly #ready = Deferred.makeUnsafe<void, StartFailed>()
  readonly #stopped = Deferred.makeUnsafe<void>()
  readonly #idle = Deferred.makeUnsafe<void>()
  #phase: "starting" | "running" | "stopping" | "ended" = "starting"
  #lastId = 0

  private constructor(
    carrier: Carrier,
    log: LogDesk,
    secrets: SecretDesk,
    store: StoreDesk,
    errands: FetchDesk,
  ) {
    this.#carrier = carrier
    this.log = log
    this.#secrets = secrets
    this.#store = store
    this.#errands = errands
    this.#scheduled = new ScheduleDesk(carrier.send, () => this.#checkIdle())
  }

  /** What the instance asked of the kernel and is under way ends with the scope. */
  static make(
    carrier: Carrier,
    { fetch, log, readSecret, store: own }: Pick<Program, "fetch" | "log" | "readSecret" | "store">,
  ): Effect.Effect<Session, never, Scope.Scope> {
    return Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const secrets = yield* SecretDesk.make(carrier.send, readSecret)
      const store = yield* StoreDesk.make(carrier.send, own)
      const errands = yield* FetchDesk.make(carrier.send, fetch)
      const lines = new LogDesk(log, () => clock.currentTimeMillisUnsafe())
      return new Session(carrier, lines, secrets, store, errands)
    })
  }

  /** Requests and due times under way. */
  get inFlight(): number {
    return this.#calls.size + this.#scheduled.size
  }

  /** Succeeds when the service's `start` has. */
  get ready(): Effect.Effect<void, StartFailed> {
    return Deferred.await(this.#ready)
  }

  /** Takes what the carrier got from the instance. */
  receive(bytes: unknown): void {
    if (this.#phase === "ended") return
    const frame = decode(bytes)
    if (frame === undefined || !this.#accept(frame))
      this.#break("the instance broke the protocol of its driver")
  }

  #break(reason: string): void {
    if (this.#phase === "ended") return
    if (this.#phase === "starting")
      Deferred.doneUnsafe(this.#ready, Effect.fail(new StartFailed({ message: reason })))
    this.#carrier.broken(reason)
  }

  #accept(frame: Frame): boolean {
    switch (frame.type) {
      case Outbound.ready:
        if (this.#phase === "starting") this.#phase = "running"
        Deferred.doneUnsafe(this.#ready, Effect.void)
        return true
      case Outbound.failed:
        this.#break(textOf(frame))
        return true
      case Outbound.log:
      case Outbound.logFields:
        this.log.accept(frame)
        return true
      case Outbound.stopped:
        if (this.#phase === "stopping") Deferred.doneUnsafe(this.#stopped, Effect.void)
        return true
      case Outbound.scheduledEnd:
      case Outbound.scheduledBroken:
        this.#scheduled.accept(frame)
        return true
      case Outbound.secretWanted:
        return this.#secrets.accept(frame)
      case Outbound.storeRead:
      case Outbound.storeWrite:
        return this.#store.accept(frame)
      default:
        return FetchDesk.takes(frame) ? this.#errands.accept(frame) : this.#acceptOfCall(frame)
    }
  }

  #acceptOfCall(frame: Frame): boolean {
    const call = this.#calls.get(frame.id)
    if (call === undefined) return frame.type >= Outbound.ready && frame.type <= Outbound.stopped
    switch (frame.type) {
      case Outbound.requestCredit:
        call.credit(numberOf(frame))
        return true
      case Outbound.responseHead:
        return call.begin(frame.body)
      case Outbound.responseChunk:
        return call.piece(frame.body)
      case Outbound.responseEnd:
        if (!call.end()) return false
        this.#forget(frame.id)
        return true
      case Outbound.responseBroken:
        this.#forget(frame.id)
        call.fail(new ServiceThrew({ message: textOf(frame) }))
        return true
      default:
        return false
    }
  }

  #abort(id: number): void {
    if (this.#calls.has(id)) this.#carrier.send(encode(Inbound.abort, id))
    this.#forget(id)
  }

  #forget(id: number): void {
    if (this.#calls.delete(id)) this.#checkIdle()
  }

  #checkIdle(): void {
    if (this.#phase === "stopping" && this.inFlight === 0)
      Deferred.doneUnsafe(this.#idle, Effect.void)
  }

  /** The instance is gone: whoever waits for it is told so. */
  end(reason: string): void {
    if (this.#phase === "ended") return
    this.#phase = "ended"
    Deferred.doneUnsafe(this.#ready, Effect.fail(new StartFailed({ message: reason })))
    for (const call of this.#calls.values()) call.fail(new NotRunning({ message: reason }))
    this.#calls.clear()
    this.#scheduled.close(reason)
    this.log.close()
    Deferred.doneUnsafe(this.#idle, Effect.void)
    Deferred.doneUnsafe(this.#stopped, Effect.void)
  }

  /** Hands a request to the service. @see Instance.request */
  request(request: ServiceRequest): Effect.Effect<ServiceResponse, RequestError, Scope.Scope> {
    return Effect.suspend((): Effect.Effect<ServiceResponse, RequestError, Scope.Scope> => {
      if (this.#phase !== "running")
        return Effect.fail(
          new NotRunning({ message: `the instance is ${this.#phase}`, undelivered: true }),
        )
      if (this.#calls.size >= maxPendingRequests)
        return Effect.fail(
          new Overloaded({
            message: `the service answers ${maxPendingRequests} requests at once and takes no more`,
          }),
        )
      const head = requestHead(request)
      if (head === undefined) return Effect.fail(headTooLarge)
      const id = (this.#lastId = (this.#lastId + 1) >>> 0)
      const abort = Effect.sync(() => this.#abort(id))
      const begin = Effect.suspend(() => this.#begin(id, head, request))
      // Aborting what has not begun does nothing: so nothing begins that could not be aborted.
      return Effect.flatMap(Effect.scope, (scope) =>
        Effect.andThen(
          Scope.addFinalizer(scope, abort),
          Effect.onInterrupt(begin, () => abort),
        ),
      )
    })
  }

  #begin(
    id: number,
    head: Uint8Array,
    { body }: ServiceRequest,
  ): Effect.Effect<ServiceResponse, RequestError, Scope.Scope> {
    const call = new Call(id, this.#carrier.send)
    this.#calls.set(id, call)
    this.#carrier.send(encode(Inbound.requestHead, id, head))
    return body === null
      ? call.response
      : Effect.andThen(Effect.forkScoped(call.upload(body)), call.response)
  }

  /** Hands a due time to the service. @see Instance.scheduled */
  scheduled(event: ScheduledEvent): Effect.Effect<void, RequestError> {
    return Effect.suspend((): Effect.Effect<void, RequestError> => {
      if (this.#phase !== "running")
        return Effect.fail(
          new NotRunning({ message: `the instance is ${this.#phase}`, undelivered: true }),
        )
      return this.#scheduled.call((this.#lastId = (this.#lastId + 1) >>> 0), event)
    })
  }

  /** Lets requests end, runs the service's `stop`, and returns when it has said so or is gone. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#phase === "running") {
      this.#phase = "stopping"
      if (this.inFlight === 0) Deferred.doneUnsafe(this.#idle, Effect.void)
    }
    return Deferred.await(this.#idle).pipe(
      Effect.tap(() => Effect.sync(() => this.#sendStop())),
      Effect.andThen(Deferred.await(this.#stopped)),
    )
  })

  #stopSent = false
  #sendStop(): void {
    if (this.#stopSent || this.#phase !== "stopping") return
    this.#stopSent = true
    this.#carrier.send(encode(Inbound.stop, 0))
  }
}
