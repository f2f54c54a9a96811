/**
 * The services a caller may see: its tenant's, or the only one its token is bound to.
 */
import * as Effect from "effect/Effect"
import type { Deployer, ServiceId, ServiceView, TenantId } from "solo"

type List = Deployer["Service"]["list"]

/** A list of services that shows nothing but `only`, unless that is `null`. */
export const visibleServices =
  (deployer: Deployer["Service"], only: ServiceId | null): List =>
  (tenantId: TenantId, options) => {
    if (only === null) return deployer.list(tenantId, options)
    const { after, status } = options
    const matches = (service: ServiceView) =>
      (status === undefined || service.status === status) &&
      (after === undefined || service.serviceId > after)
    return deployer.status(tenantId, only).pipe(
      Effect.map((service) => [service].filter(matches)),
      Effect.catchTag("ServiceNotFound", () => Effect.succeed([])),
    )
  }
