/**
 * What a token must hold to deploy a spec beside `deploy` itself: nobody gives a service more than
 * they could do themselves.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ServiceId, type ServiceSpec } from "solo"

import { Caller } from "./Caller.ts"

const isServiceId = Schema.is(ServiceId)

/** Fails where the caller may not grant what `spec` asks for. */
export const mayGrant = Effect.fnUntraced(function* (
  spec: Pick<ServiceSpec, "serviceId" | "secrets" | "services">,
) {
  const { require } = yield* Caller
  const { secrets, serviceId, services } = spec
  yield* require("deploy", { serviceId })
  if (secrets.length > 0) yield* require("secrets", { serviceId })
  // A token that is bound to a service can let it call itself and no other.
  for (const id of services)
    yield* require("invoke", isServiceId(id) ? { serviceId: id } : "tenant")
})
