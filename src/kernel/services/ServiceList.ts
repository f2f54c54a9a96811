/**
 * Showing services as they are, one or a page of them (promise 10).
 */
import * as Effect from "effect/Effect"
import * as SubscriptionRef from "effect/SubscriptionRef"

import type { ServiceId, TenantId } from "../../domain/Identifier.ts"
import { shouldRun } from "../../domain/State.ts"
import { Readiness } from "../Readiness.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import { type ListOptions, ServiceNotFound } from "./Deployer.ts"
import { makeChild, Registry, view } from "./Registry.ts"

/**
 * A tenant's children in order of their ids. Until recovery has come to all of them, those that
 * only the log knows are shown as starting: what should run is never shown as absent.
 */
const childrenOf = Effect.fnUntraced(function* (tenantId: TenantId) {
  const registry = yield* Registry
  const readiness = yield* Readiness
  if (SubscriptionRef.getUnsafe(readiness).status !== "recovering")
    return registry.ofTenant(tenantId)
  const facts = shouldRun(yield* (yield* DesiredState).get)
  const absent = facts.filter(
    ({ name }) => name.tenantId === tenantId && registry.get(name) === undefined,
  )
  return [...registry.ofTenant(tenantId), ...absent.map(makeChild)].sort((left, right) =>
    left.name.serviceId < right.name.serviceId ? -1 : 1,
  )
})

/** @see Deployer.status */
export const status = Effect.fn("Deployer.status")(function* (
  tenantId: TenantId,
  serviceId: ServiceId,
) {
  const known = (yield* Registry).get({ tenantId, serviceId })
  const child =
    known ?? (yield* childrenOf(tenantId)).find(({ name }) => name.serviceId === serviceId)
  if (child === undefined) return yield* new ServiceNotFound({ serviceId })
  return yield* view(child)
})

/** @see Deployer.list */
export const list = Effect.fn("Deployer.list")(function* (
  tenantId: TenantId,
  { status, after, limit }: ListOptions,
) {
  const matching = (yield* childrenOf(tenantId))
    .filter((child) => status === undefined || child.status === status)
    .filter((child) => after === undefined || child.name.serviceId > after)
  return yield* Effect.forEach(matching.slice(0, limit), view)
})
