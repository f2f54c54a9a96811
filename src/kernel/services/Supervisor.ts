/**
 * Keeps services running: starts instances within their time, watches them, restarts them by
 * policy with backoff, gives up on those that crash too often, and stops them in order. It writes
 * what happened to a running service to the log; what a tenant asked for is the deployer's to log.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

import { decideRestart, steadyMs } from "../../domain/Decision.ts"
import { withDeadline } from "../Deadline.ts"
import { KernelConfig, servicesShare } from "../KernelConfig.ts"
import type { EventStore } from "../log/EventStore.ts"
import type { KeyValueStore } from "../store/KeyValueStore.ts"
import type { Vault } from "../vault/Vault.ts"
import { StartTimedOut } from "./Deployer.ts"
import { programOf } from "./Grants.ts"
import type { Outbound } from "./Outbound.ts"
import { type Child, Registry } from "./Registry.ts"
import { type InstanceExit, Runtime, StartFailed } from "./Runtime.ts"
import type { ServiceLogs } from "./ServiceLogs.ts"
import { noteCrash, noteOf } from "./ServiceNote.ts"

/** How long a killed instance may take to end before it is left behind, in milliseconds. */
const killTimeoutMs = 2000

/** How to end a service. */
interface StopOptions {
  /** Kill it at once instead of asking it to stop. */
  readonly force: boolean
  /** Bounds the time its spec gives it to stop. */
  readonly timeoutMs?: number
}

/** Keeps services running. */
export class Supervisor extends Context.Service<
  Supervisor,
  {
    /**
     * Starts a child's first instance. If it fails, nothing is left running. It can be interrupted
     * while the driver works, even where the caller cannot, and from its success on no more.
     */
    readonly start: (child: Child, code: string) => Effect.Effect<void, StartFailed | StartTimedOut>
    /** From now on `child` is restarted by its policy; `ended` if its start failed already. */
    readonly watch: (child: Child, code: string, ended?: InstanceExit) => Effect.Effect<void>
    /** The same for a child that is yet to be started: that goes on while the caller does. */
    readonly bringUp: (child: Child, code: string) => Effect.Effect<void>
    /** Ends a child for good. */
    readonly stop: (child: Child, options: StopOptions) => Effect.Effect<void>
  }
>()("solo/kernel/services/Supervisor") {}

/** The scope that every instance and watcher lives in: the supervisor's own. */
class Shelter extends Context.Service<Shelter, Scope.Scope>()(
  "solo/kernel/services/Supervisor/Shelter",
) {}

/**
 * Has the driver start an instance in `scope`, within the service's start-up time. Only the wait
 * for the driver can be interrupted; a driver that does not even end then is left behind.
 */
const startInstance = Effect.fnUntraced(function* (child: Child, code: string, scope: Scope.Scope) {
  const runtime = yield* Runtime
  const { name } = child
  const { limits } = child.spec
  const { program, redaction } = yield* programOf(child, code)
  const starting = yield* Effect.forkDetach(
    runtime.start(program).pipe(
      Effect.mapBoth({
        onFailure: (error) => redaction.startFailed(error),
        onSuccess: (instance) => redaction.instance(instance),
      }),
      Scope.provide(scope),
      Effect.interruptible,
    ),
  )
  return yield* Fiber.join(starting).pipe(
    Effect.timeoutOrElse({
      duration: limits.startupTimeoutMs,
      orElse: () => Effect.fail(new StartTimedOut({ timeoutMs: limits.startupTimeoutMs })),
    }),
    Effect.interruptible,
    Effect.onError(() => withDeadline(killTimeoutMs, Fiber.interrupt(starting))),
    // A driver that breaks costs the service it was starting, not whoever asked for it.
    Effect.catchDefect((defect) =>
      Effect.andThen(
        Effect.logError("the runtime driver failed", Cause.die(defect)),
        Effect.fail(
          new StartFailed({ message: "the runtime driver failed; see the kernel's log" }),
        ),
      ),
    ),
    Effect.annotateLogs({ ...name }),
  )
})

const close = (scope: Scope.Closeable) =>
  Effect.asVoid(withDeadline(killTimeoutMs, Scope.close(scope, Exit.void)))

// Between the instance's start and its place in the child nothing may interrupt: an instance that
// no child knows of could never be stopped.
const start = Effect.fn("Supervisor.start")(function* (child: Child, code: string) {
  const scope = yield* Scope.fork(yield* Shelter)
  const instance = yield* Effect.onError(startInstance(child, code, scope), () => close(scope))
  child.scope = scope
  child.instance = instance
  child.startedAt = DateTime.formatIso(yield* DateTime.now)
  child.status = "running"
}, Effect.uninterruptible)

const release = (child: Child) =>
  Effect.suspend(() => {
    const { scope } = child
    child.instance = undefined
    child.scope = undefined
    return scope === undefined ? Effect.void : close(scope)
  })

const giveUp = Effect.fnUntraced(function* (child: Child, reason: string) {
  const { revision, restarts } = child
  child.status = "failed"
  yield* Effect.logWarning("service gave up").pipe(Effect.annotateLogs({ ...child.name, reason }))
  yield* noteOf(child, "service_gave_up", { revision, restarts, reason })
})

/** What is remembered of a child's restarts, for as long as it is watched. */
interface History {
  /** When they were, within the window. */
  readonly times: Array<number>
  /** How many were in a row, none followed by a steady run. */
  quick: number
  /** When the last one succeeded. */
  ranFrom: number | undefined
}

/** Forgets what is over at `now`, and says how many restarts are within the window before it. */
const recentRestarts = (history: History, now: number, maxSeconds: number): number => {
  const { ranFrom, times } = history
  if (ranFrom !== undefined && now - ranFrom >= steadyMs) history.quick = 0
  while (times.length > 0 && times[0]! <= now - maxSeconds * 1000) times.shift()
  return times.length
}

/** Restarts `child` until it runs again; answers whether it does. */
const bringBack = Effect.fnUntraced(function* (
  child: Child,
  code: string,
  history: History,
  ended: InstanceExit,
) {
  const { revision, spec } = child
  let exit = ended
  while (true) {
    if (exit._tag === "Crashed") {
      child.lastError = exit.reason
      yield* noteCrash(child, exit)
    }
    const how = exit._tag === "Crashed" ? "crashed" : "stopped"
    const now = yield* Clock.currentTimeMillis
    const recent = recentRestarts(history, now, spec.limits.maxSeconds)
    const decision = decideRestart(spec, how, recent, history.quick)
    if (decision._tag === "Leave") {
      child.status = how === "crashed" ? "failed" : "stopped"
      return false
    }
    if (decision._tag === "GiveUp") {
      yield* giveUp(child, child.lastError ?? "it stopped again and again")
      return false
    }
    child.status = "restarting"
    history.times.push(now)
    history.quick += 1
    history.ranFrom = undefined
    yield* Effect.sleep(decision.delayMs)
    child.restarts += 1
    const started = yield* Effect.result(start(child, code))
    if (started._tag === "Success") {
      history.ranFrom = yield* Clock.currentTimeMillis
      yield* noteOf(child, "service_restarted", { revision, restarts: child.restarts })
      return true
    }
    exit = { _tag: "Crashed", reason: started.failure.message }
  }
})

/** Watches `child` for as long as its policy says. */
const keep = Effect.fnUntraced(function* (child: Child, code: string, ended?: InstanceExit) {
  const history: History = { times: [], quick: 0, ranFrom: undefined }
  let exit = ended
  while (true) {
    exit ??= yield* child.instance!.exit
    yield* release(child)
    if (!(yield* bringBack(child, code, history, exit))) return
    exit = undefined
  }
})

const watch = Effect.fn("Supervisor.watch")(function* (
  child: Child,
  code: string,
  ended?: InstanceExit,
) {
  child.watcher = yield* Effect.forkIn(keep(child, code, ended), yield* Shelter)
})

const bringUp = Effect.fn("Supervisor.bringUp")(function* (child: Child, code: string) {
  const starting = Effect.flatMap(Effect.result(start(child, code)), (started) =>
    started._tag === "Success"
      ? keep(child, code)
      : keep(child, code, { _tag: "Crashed", reason: started.failure.message }),
  )
  child.watcher = yield* Effect.forkIn(starting, yield* Shelter)
})

// Every step has its time, so that no service and no driver can hold up whoever stops it; and all
// are taken, whether or not the caller still waits.
const stop = Effect.fn("Supervisor.stop")(function* (child: Child, options: StopOptions) {
  const { watcher } = child
  if (watcher !== undefined) yield* withDeadline(killTimeoutMs, Fiber.interrupt(watcher))
  const { instance } = child
  child.status = "stopped"
  if (instance !== undefined) {
    const timeout = Math.min(child.spec.limits.shutdownTimeoutMs, options.timeoutMs ?? Infinity)
    if (!options.force) yield* withDeadline(timeout, instance.stop)
    yield* withDeadline(killTimeoutMs, instance.kill)
  }
  yield* release(child)
}, Effect.uninterruptible)

/** Stops all services at the same time, so that each has all the time there is. */
const stopAll = Effect.gen(function* () {
  const { shutdownTimeoutMs } = yield* KernelConfig
  const children = (yield* Registry).all()
  const timeoutMs = shutdownTimeoutMs * servicesShare
  const [took] = yield* Effect.timed(
    Effect.forEach(children, (child) => stop(child, { force: false, timeoutMs }), {
      concurrency: "unbounded",
      discard: true,
    }),
  )
  yield* Effect.logInfo(
    `stopped ${children.length} services in ${Math.round(Duration.toMillis(took))} ms`,
  )
})

const make = Effect.gen(function* () {
  // A scope of its own: what starts in it later must outlive the asking below, not precede it.
  const shelter = Shelter.of(yield* Scope.fork(yield* Scope.Scope))
  const context = (yield* Effect.context<
    EventStore | KernelConfig | KeyValueStore | Outbound | Registry | Runtime | ServiceLogs | Vault
  >()).pipe(Context.add(Shelter, shelter))
  yield* Effect.addFinalizer(() => Effect.provideContext(stopAll, context))
  return Supervisor.of({
    start: (child, code) => Effect.provideContext(start(child, code), context),
    watch: (child, code, ended) => Effect.provideContext(watch(child, code, ended), context),
    bringUp: (child, code) => Effect.provideContext(bringUp(child, code), context),
    stop,
  })
})

/** Supervision on whatever runtime driver there is. Closing it stops every service. */
export const layerSupervisor = Layer.effect(Supervisor, make)
