/**
 * Ingress at work: finds the running instance, bounds the time until its response begins, and lets
 * no request fall between two revisions.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"

import type { ServiceName } from "../../domain/Identifier.ts"
import { Readiness } from "../Readiness.ts"
import { ServiceNotFound } from "./Deployer.ts"
import { Ingress, type IngressError, RequestTimedOut } from "./Ingress.ts"
import { Registry } from "./Registry.ts"
import { NotRunning, type ServiceRequest, type ServiceResponse } from "./Runtime.ts"
import { makeTimeouts } from "./Timeouts.ts"

/** How often one request is handed on to an instance that took another's place. */
const maxHandovers = 16

/** Ingress to the services of this kernel. */
export const layerIngress = Layer.effect(
  Ingress,
  Effect.gen(function* () {
    const registry = yield* Registry
    const readiness = yield* Readiness
    const timeouts = yield* makeTimeouts
    const childOf = (name: ServiceName) => {
      const child = registry.get(name)
      if (child !== undefined) return Effect.succeed(child)
      // Until recovery is over, not to know a service does not mean that there is none.
      return SubscriptionRef.getUnsafe(readiness).status === "recovering"
        ? Effect.fail(
            new NotRunning({ message: "the kernel is recovering its services", undelivered: true }),
          )
        : Effect.fail(new ServiceNotFound({ serviceId: name.serviceId }))
    }

    const hand = Effect.fnUntraced(function* (
      name: ServiceName,
      request: ServiceRequest,
      handovers: number,
    ): Effect.fn.Return<ServiceResponse, IngressError, Scope.Scope> {
      const child = yield* childOf(name)
      const { instance } = child
      if (instance === undefined) {
        return yield* new NotRunning({
          message: `${name.serviceId} is ${child.status}`,
          undelivered: true,
        })
      }
      const { requestTimeoutMs } = child.spec.limits
      const answered = yield* Effect.result(
        timeouts.within(requestTimeoutMs, instance.request(request), () =>
          Effect.fail(new RequestTimedOut({ timeoutMs: requestTimeoutMs })),
        ),
      )
      if (answered._tag === "Success") return answered.success
      const error = answered.failure
      // It was on its way to an instance that another one replaced in this moment. What may have
      // reached a service is never sent again.
      const isReplaced = registry.get(name)?.instance !== instance && handovers < maxHandovers
      return error._tag === "NotRunning" && error.undelivered === true && isReplaced
        ? yield* hand(name, request, handovers + 1)
        : yield* error
    })

    // Without a span, which would cost each request more than all the rest of this.
    return Ingress.of({ request: (name, request) => hand(name, request, 0) })
  }),
)
