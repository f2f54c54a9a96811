/**
 * Room for one more service: how many the kernel takes care of, and how many of one tenant. What
 * recovery brings back needs none: it had its room before.
 */
import * as Effect from "effect/Effect"

import type { TenantId } from "../../domain/Identifier.ts"
import { KernelConfig } from "../KernelConfig.ts"
import { TooManyServices } from "./Deployer.ts"
import { type Child, Registry } from "./Registry.ts"

/** Why there is no room for one more service of a tenant; `undefined` if there is. */
const makeLack = Effect.gen(function* () {
  const { maxServices, maxServicesPerTenant } = yield* KernelConfig
  const registry = yield* Registry
  return (tenantId: TenantId) => {
    if (registry.countOf(tenantId) >= maxServicesPerTenant) {
      return new TooManyServices({ scope: "tenant", maximum: maxServicesPerTenant })
    }
    return registry.count() >= maxServices
      ? new TooManyServices({ scope: "kernel", maximum: maxServices })
      : undefined
  }
})

/**
 * Fails when there is no room for one more service of `tenantId`. There may be none any more a
 * moment later: it spares work that would be in vain, and only `admit` holds the limit.
 */
export const requireRoom = Effect.fnUntraced(function* (tenantId: TenantId) {
  const lack = (yield* makeLack)(tenantId)
  if (lack !== undefined) return yield* lack
})

/**
 * Puts `child` in its place, and answers which child was there. Where none was, it fails when there
 * is no room for one more; check and place are one step.
 */
export const admit = Effect.fnUntraced(function* (child: Child) {
  const registry = yield* Registry
  const lackOf = yield* makeLack
  // From here on without a yield: another service could take the room in between.
  const previous = registry.get(child.name)
  const lack = previous === undefined ? lackOf(child.name.tenantId) : undefined
  if (lack !== undefined) return yield* lack
  registry.put(child)
  return previous
})
