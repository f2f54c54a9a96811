/**
 * What the routes of `StoreApi` do: ask the kernel's stores, and have one removed.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Deployer, KeyValueStore, type ServiceName } from "solo"

import { Api } from "./Api.ts"
import { callingTenant } from "./Caller.ts"
import { fromKernel } from "./Failures.ts"

/** The handlers of the group `store`. */
export const StoreHandlers = HttpApiBuilder.group(
  Api,
  "store",
  Effect.fnUntraced(function* (handlers) {
    const stores = yield* KeyValueStore
    const deployer = yield* Deployer

    // A service that was killed has a store still; one that never stored anything runs perhaps.
    const figures = Effect.fnUntraced(function* (name: ServiceName) {
      const { exists, keys, bytes, quota } = yield* stores.figures(name)
      if (!exists) yield* deployer.status(name.tenantId, name.serviceId)
      return { serviceId: name.serviceId, keys, bytes, quota }
    }, Effect.mapError(fromKernel))

    return handlers.handleAll({
      get: Effect.fn("http.store.get")(function* ({ params: { serviceId } }) {
        const { tenantId } = yield* callingTenant
        return yield* figures({ tenantId, serviceId })
      }),

      clear: Effect.fn("http.store.clear")(function* ({ params: { serviceId } }) {
        const caller = yield* callingTenant
        const name = { tenantId: caller.tenantId, serviceId }
        yield* stores.clear(caller, name).pipe(
          Effect.catchTag("StoreNotFound", () => Effect.void),
          Effect.mapError(fromKernel),
        )
        return yield* figures(name)
      }),
    })
  }),
)
