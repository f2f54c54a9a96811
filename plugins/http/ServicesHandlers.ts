/**
 * What the routes of `ServicesApi` do: call the kernel and translate its answers. No decision is
 * made here that another gateway would have to make again.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import { Deployer, ServiceId, type ServiceSpec, type SwapOptions } from "solo"

import { Api } from "./Api.ts"
import { Caller, callingTenant } from "./Caller.ts"
import { fromKernel, invalidRequest } from "./Failures.ts"
import { cursorAt, defaultLimit, malformedCursor, positionOf } from "./Page.ts"
import { mayGrant } from "./SpecGrants.ts"
import { visibleServices } from "./VisibleServices.ts"

const isServiceId = Schema.is(ServiceId)

const otherService = invalidRequest([
  {
    path: ["payload", "serviceId"],
    message: "Expected the service in the path, or no serviceId at all",
  },
])

interface SwapRequest {
  readonly params: { readonly serviceId: ServiceId }
  readonly query: SwapOptions
}

interface SpecRequest extends SwapRequest {
  readonly payload: Omit<ServiceSpec, "serviceId"> & { readonly serviceId?: ServiceId }
}

const makeSwaps = (deployer: Deployer["Service"]) => ({
  swap: Effect.fn("http.services.swap")(function* ({ params, payload, query }: SpecRequest) {
    const caller = yield* callingTenant
    const { serviceId } = params
    if (payload.serviceId !== undefined && payload.serviceId !== serviceId) {
      return yield* otherService
    }
    yield* mayGrant({ ...payload, serviceId })
    return yield* Effect.mapError(
      deployer.swap(caller, { ...payload, serviceId }, query),
      fromKernel,
    )
  }),

  rollback: Effect.fn("http.services.rollback")(function* ({ params, query }: SwapRequest) {
    const caller = yield* callingTenant
    return yield* Effect.mapError(deployer.rollback(caller, params.serviceId, query), fromKernel)
  }),
})

/** The handlers of the group `services`. */
export const ServicesHandlers = HttpApiBuilder.group(
  Api,
  "services",
  Effect.fnUntraced(function* (handlers) {
    const deployer = yield* Deployer

    return handlers.handleAll({
      deploy: Effect.fn("http.services.deploy")(function* ({ payload }) {
        const caller = yield* callingTenant
        yield* mayGrant(payload)
        const { created, service } = yield* Effect.mapError(
          deployer.deploy(caller, payload),
          fromKernel,
        )
        return HttpServerResponse.jsonUnsafe(service, {
          status: created ? 201 : 200,
          headers: { location: `/v1/services/${service.serviceId}` },
        })
      }),

      list: Effect.fn("http.services.list")(function* ({ query }) {
        const { tenantId } = yield* callingTenant
        const { serviceId } = yield* Caller
        const after = yield* positionOf("services", query.cursor)
        if (after !== undefined && !isServiceId(after)) {
          return yield* malformedCursor(["query", "cursor"])
        }
        const limit = query.limit ?? defaultLimit
        const found = yield* visibleServices(deployer, serviceId)(tenantId, {
          status: query.status,
          after,
          limit: limit + 1,
        })
        const items = found.slice(0, limit)
        const last = items.at(-1)
        return {
          items,
          next:
            found.length > limit && last !== undefined
              ? cursorAt("services", last.serviceId)
              : null,
        }
      }),

      get: Effect.fn("http.services.get")(function* ({ params }) {
        const { tenantId } = yield* callingTenant
        return yield* Effect.mapError(deployer.status(tenantId, params.serviceId), fromKernel)
      }),

      ...makeSwaps(deployer),

      kill: Effect.fn("http.services.kill")(function* ({ params, query }) {
        const caller = yield* callingTenant
        return yield* Effect.mapError(
          deployer.kill(caller, params.serviceId, { force: query.force }),
          fromKernel,
        )
      }),
    })
  }),
)
