/**
 * Every service the kernel takes care of, running or not: the one place that status, lists and
 * supervision share (promise 10). It holds no decisions; those who take care of a service under its
 * lock, and the supervisor while it watches it, move the entries.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

import { serviceKey, type ServiceName, type TenantId } from "../../domain/Identifier.ts"
import type { ServiceStatus, ServiceView } from "../../domain/Service.ts"
import type { LoggedSpec } from "../../domain/ServiceSpec.ts"
import type { Instance } from "./Runtime.ts"

/** What a service is to be, for as long as its revision lasts. */
export interface ChildSpec {
  readonly name: ServiceName
  readonly revision: number
  readonly spec: LoggedSpec
  readonly deployedAt: string
}

/**
 * A service and how it is doing. The supervisor changes one, with two exceptions: whoever logs its
 * deployment sets `deployedAt`, and recovery marks what it could not bring back.
 */
export interface Child extends ChildSpec {
  deployedAt: string
  /** What it took the requests of, until it is a fact itself: the revision of the log. */
  predecessor: Child | undefined
  status: ServiceStatus
  instance: Instance | undefined
  /** When `instance` started, ISO 8601. */
  startedAt: string | null
  restarts: number
  lastError: string | null
  /** What `instance` lives in. */
  scope: Scope.Closeable | undefined
  /** The fiber that restarts it. */
  watcher: Fiber.Fiber<void> | undefined
}

/** A child that has not run yet. */
export const makeChild = (spec: ChildSpec): Child => ({
  ...spec,
  predecessor: undefined,
  status: "starting",
  instance: undefined,
  startedAt: null,
  restarts: 0,
  lastError: null,
  scope: undefined,
  watcher: undefined,
})

/** Marks a child that is not running, and that nobody will start, as failed for `reason`. */
export const markFailed = (child: Child, reason: string): void => {
  child.status = "failed"
  child.lastError = reason
}

const idle = { memoryBytes: 0, cpuMs: 0, inFlight: 0 }

// A driver that cannot tell its figures must not hide the service, nor undo what was just done.
const statsOf = (child: Child) =>
  child.instance === undefined
    ? Effect.succeed(idle)
    : Effect.catchCause(child.instance.stats, () => Effect.succeed(idle))

/** A child as the outside sees it. */
export const view = (child: Child): Effect.Effect<ServiceView> =>
  Effect.map(statsOf(child), (stats) => ({
    ...child.name,
    revision: child.revision,
    status: child.status,
    artifact: child.spec.artifact,
    deployedAt: child.deployedAt,
    startedAt: child.instance === undefined ? null : child.startedAt,
    restarts: child.restarts,
    lastError: child.lastError,
    memoryBytes: Math.round(stats.memoryBytes),
    cpuMs: Math.round(stats.cpuMs),
    inFlight: stats.inFlight,
  }))

interface Household {
  readonly children: Map<string, Child>
  /** The children in order of their ids, until one comes, goes or is replaced. */
  sorted: ReadonlyArray<Child> | undefined
}

const inOrder = ({ children }: Household): ReadonlyArray<Child> =>
  [...children].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, child]) => child)

/** The children by name. All methods are synchronous. */
export class Registry extends Context.Service<
  Registry,
  {
    readonly get: (name: ServiceName) => Child | undefined
    readonly put: (child: Child) => void
    /** Removes `child`, unless another one has taken its place. */
    readonly remove: (child: Child) => void
    /** A tenant's children, in order of their ids. */
    readonly ofTenant: (tenantId: TenantId) => ReadonlyArray<Child>
    readonly countOf: (tenantId: TenantId) => number
    readonly all: () => ReadonlyArray<Child>
    readonly count: () => number
  }
>()("solo/kernel/services/Registry") {
  static readonly layer = Layer.sync(Registry, () => {
    const children = new Map<string, Child>()
    const tenants = new Map<TenantId, Household>()
    return Registry.of({
      get: (name) => children.get(serviceKey(name)),
      put: (child) => {
        const { tenantId, serviceId } = child.name
        children.set(serviceKey(child.name), child)
        const own = tenants.get(tenantId) ?? { children: new Map(), sorted: undefined }
        own.children.set(serviceId, child)
        own.sorted = undefined
        tenants.set(tenantId, own)
      },
      remove: (child) => {
        const { tenantId, serviceId } = child.name
        if (children.get(serviceKey(child.name)) !== child) return
        children.delete(serviceKey(child.name))
        const own = tenants.get(tenantId)!
        own.children.delete(serviceId)
        own.sorted = undefined
        if (own.children.size === 0) tenants.delete(tenantId)
      },
      ofTenant: (tenantId) => {
        const own = tenants.get(tenantId)
        return own === undefined ? [] : (own.sorted ??= inOrder(own))
      },
      countOf: (tenantId) => tenants.get(tenantId)?.children.size ?? 0,
      all: () => [...children.values()],
      count: () => children.size,
    })
  })
}
