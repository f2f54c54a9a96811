/**
 * Ingress at work: finds the running instance and bounds the time until its response begins.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { Readiness } from "../Readiness.ts"
import { ServiceNotFound } from "./Deployer.ts"
import { Ingress, RequestTimedOut } from "./Ingress.ts"
import { Registry } from "./Registry.ts"
import { NotRunning } from "./Runtime.ts"

/** Ingress to the services of this kernel. */
export const layerIngress = Layer.effect(
  Ingress,
  Effect.gen(function* () {
    const registry = yield* Registry
    const readiness = yield* Readiness
    return Ingress.of({
      request: Effect.fn("Ingress.request")(function* (name, request) {
        const child = registry.get(name)
        if (child === undefined) {
          // Until recovery is over, not to know a service does not mean that there is none.
          if (SubscriptionRef.getUnsafe(readiness).status === "recovering") {
            return yield* new NotRunning({ message: "the kernel is recovering its services" })
          }
          return yield* new ServiceNotFound({ serviceId: name.serviceId })
        }
        if (child.instance === undefined) {
          return yield* new NotRunning({ message: `${name.serviceId} is ${child.status}` })
        }
        const { requestTimeoutMs } = child.spec.limits
        return yield* Effect.timeoutOrElse(child.instance.request(request), {
          duration: requestTimeoutMs,
          orElse: () => Effect.fail(new RequestTimedOut({ timeoutMs: requestTimeoutMs })),
        })
      }),
    })
  }),
)
