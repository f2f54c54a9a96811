/**
 * Room for one more service: how many the kernel takes care of, and how many of one tenant.
 */
import * as Effect from "effect/Effect"

import type { TenantId } from "../../domain/Identifier.ts"
import { KernelConfig } from "../KernelConfig.ts"
import { TooManyServices } from "./Deployer.ts"
import { Registry } from "./Registry.ts"

/** Fails when there is no room for one more service of `tenantId`. */
export const requireRoom = Effect.fnUntraced(function* (tenantId: TenantId) {
  const { maxServices, maxServicesPerTenant } = yield* KernelConfig
  const registry = yield* Registry
  if (registry.countOf(tenantId) >= maxServicesPerTenant) {
    return yield* new TooManyServices({ scope: "tenant", maximum: maxServicesPerTenant })
  }
  if (registry.count() >= maxServices) {
    return yield* new TooManyServices({ scope: "kernel", maximum: maxServices })
  }
})
