/**
 * The figures of one tenant's services as metrics: made when somebody asks, from what supervision
 * itself sees, and kept nowhere.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import type { Deployer, ServiceId, ServiceView, TenantId } from "solo"

import { visibleServices } from "./VisibleServices.ts"

/** Services read at once. */
const pageSize = 1000

const gauges: ReadonlyArray<readonly [string, string, (service: ServiceView) => number]> = [
  ["solo_service_memory_bytes", "Memory in use", (service) => service.memoryBytes],
  ["solo_service_cpu_seconds", "Processor time used", (service) => service.cpuMs / 1000],
  ["solo_service_in_flight", "Requests being answered", (service) => service.inFlight],
  [
    "solo_service_restarts",
    "Restarts since this process took it over",
    (service) => service.restarts,
  ],
  ["solo_service_revision", "The revision that answers", (service) => service.revision],
  [
    "solo_service_running",
    "1 when it is running, else 0",
    (service) => (service.status === "running" ? 1 : 0),
  ],
]

const readAll = Effect.fnUntraced(function* (
  deployer: Deployer["Service"],
  tenantId: TenantId,
  only: ServiceId | null,
) {
  const list = visibleServices(deployer, only)
  const services: Array<ServiceView> = []
  let page: ReadonlyArray<ServiceView>
  do {
    page = yield* list(tenantId, { after: services.at(-1)?.serviceId, limit: pageSize })
    services.push(...page)
  } while (page.length === pageSize)
  return services
})

/** The figures of a tenant's services in Prometheus' text format. */
export const serviceMetrics = Effect.fn("http.serviceMetrics")(function* (
  deployer: Deployer["Service"],
  tenantId: TenantId,
  only: ServiceId | null,
) {
  const services = yield* readAll(deployer, tenantId, only)
  return yield* Effect.gen(function* () {
    for (const [name, description, figure] of gauges) {
      for (const service of services) {
        const { serviceId } = service
        const gauge = Metric.gauge(name, { description, attributes: { tenantId, serviceId } })
        yield* Metric.update(gauge, figure(service))
      }
    }
    return yield* PrometheusMetrics.format()
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
})
