/**
 * What the routes of `HealthApi` do: show the kernel's phase.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { Readiness } from "solo"

import { Api } from "./Api.ts"

/** The handlers of the group `health`. */
export const HealthHandlers = HttpApiBuilder.group(
  Api,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const readiness = yield* Readiness
    return handlers.handleAll({
      live: () => Effect.succeed({ status: "live" as const }),
      ready: () =>
        Effect.map(SubscriptionRef.get(readiness), (phase) =>
          HttpServerResponse.jsonUnsafe(
            phase.status === "recovering"
              ? {
                  status: phase.status,
                  recovered: phase.recovered,
                  failed: phase.failed,
                  total: phase.total,
                }
              : { status: phase.status },
            { status: phase.status === "ready" ? 200 : 503 },
          ),
        ),
    })
  }),
)
