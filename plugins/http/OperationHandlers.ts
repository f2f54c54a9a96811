/**
 * What the routes of `OperationApi` do.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Redacted from "effect/Redacted"
import { CapabilityManager, Deployer, Runtime, Vault } from "solo"

import { Api } from "./Api.ts"
import { Caller } from "./Caller.ts"
import { fromKernel } from "./Failures.ts"
import { serviceMetrics } from "./ServiceMetrics.ts"

/** The handlers of the group `operation`. */
export const OperationHandlers = HttpApiBuilder.group(
  Api,
  "operation",
  Effect.fnUntraced(function* (handlers) {
    const capabilities = yield* CapabilityManager
    const deployer = yield* Deployer
    const { driver, isolation, walls } = yield* Runtime
    const vault = yield* Vault

    return handlers.handleAll({
      rotateRootToken: Effect.fn("http.operation.rotateRootToken")(function* () {
        const { bearer } = yield* Caller
        const token = yield* Effect.mapError(capabilities.rotateRoot(bearer), fromKernel)
        return { token: Redacted.value(token) }
      }),

      rotateMasterKey: () =>
        vault.rotateMasterKey.pipe(
          Effect.map((dataKeys) => ({ dataKeys })),
          Effect.mapError(fromKernel),
        ),

      runtime: () => Effect.succeed({ driver, isolation, walls }),

      metrics: Effect.fn("http.operation.metrics")(function* () {
        const { isRoot, serviceId, tenantId } = yield* Caller
        const all = isRoot ? yield* PrometheusMetrics.format() : ""
        const own = tenantId === null ? "" : yield* serviceMetrics(deployer, tenantId, serviceId)
        return all + own
      }),
    })
  }),
)
