/**
 * Ingress at work: finds the running instance and bounds the time until its response begins.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import { ServiceNotFound } from "./Deployer.ts"
import { Ingress, RequestTimedOut } from "./Ingress.ts"
import { Registry } from "./Registry.ts"
import { NotRunning } from "./Runtime.ts"

/** Ingress to the services of this kernel. */
export const layerIngress = Layer.effect(
  Ingress,
  Effect.map(Registry, (registry) =>
    Ingress.of({
      request: Effect.fn("Ingress.request")(function* (name, request) {
        const child = registry.get(name)
        if (child === undefined) return yield* new ServiceNotFound({ serviceId: name.serviceId })
        if (child.instance === undefined) {
          return yield* new NotRunning({ message: `${name.serviceId} is ${child.status}` })
        }
        const { requestTimeoutMs } = child.spec.limits
        return yield* Effect.timeoutOrElse(child.instance.request(request), {
          duration: requestTimeoutMs,
          orElse: () => Effect.fail(new RequestTimedOut({ timeoutMs: requestTimeoutMs })),
        })
      }),
    }),
  ),
)
