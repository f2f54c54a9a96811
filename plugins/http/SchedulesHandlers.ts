/**
 * What the route of `SchedulesApi` does: show what the scheduler has in mind for a service.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Deployer, Scheduler } from "solo"

import { Api } from "./Api.ts"
import { callingTenant } from "./Caller.ts"
import { fromKernel } from "./Failures.ts"

/** The handlers of the group `schedules`. */
export const SchedulesHandlers = HttpApiBuilder.group(
  Api,
  "schedules",
  Effect.fnUntraced(function* (handlers) {
    const deployer = yield* Deployer
    const scheduler = yield* Scheduler

    return handlers.handle(
      "list",
      Effect.fn("http.schedules.list")(function* ({ params }) {
        const { tenantId } = yield* callingTenant
        const { serviceId } = params
        yield* Effect.mapError(deployer.status(tenantId, serviceId), fromKernel)
        return { items: yield* scheduler.schedulesOf({ tenantId, serviceId }), next: null }
      }),
    )
  }),
)
