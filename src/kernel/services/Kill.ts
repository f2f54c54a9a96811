/**
 * Kills a service: records that, then stops it. It waits for no start and no swap: it ends them.
 */
import * as Effect from "effect/Effect"

import { draft } from "../../domain/Event.ts"
import type { ServiceId, ServiceName } from "../../domain/Identifier.ts"
import { factOf } from "../../domain/State.ts"
import { EventStore } from "../log/EventStore.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import { type Caller, ServiceNotFound } from "./Deployer.ts"
import { refuseWhenStopping } from "./Refusal.ts"
import { makeChild, Registry, view } from "./Registry.ts"
import { ServiceLogs } from "./ServiceLogs.ts"
import { Starts } from "./Starts.ts"
import { Supervisor } from "./Supervisor.ts"
import { Swaps } from "./Swaps.ts"

const reason = "the service is being killed"

const killLocked = Effect.fnUntraced(function* (caller: Caller, name: ServiceName, force: boolean) {
  const desired = yield* DesiredState
  const registry = yield* Registry
  const store = yield* EventStore
  const fact = factOf(yield* desired.current, name)
  const here = registry.get(name)
  if (fact?._tag === "Deployed") {
    const payload = { revision: fact.revision, force }
    const killed = draft("service_killed", payload, { ...caller, ...name })
    const [event] = yield* store.append([killed])
    yield* desired.record(event)
  }
  // What still runs although the log has it dead is ended with nothing more to log.
  const child = here ?? (fact?._tag === "Deployed" ? makeChild(fact) : undefined)
  if (child === undefined) return yield* new ServiceNotFound({ serviceId: name.serviceId })
  yield* (yield* Supervisor).stop(child, { force })
  registry.remove(child)
  yield* (yield* ServiceLogs).close(name)
  return yield* view(child)
})

/** @see Deployer.kill */
export const kill = Effect.fn("Deployer.kill")(function* (
  caller: Caller,
  serviceId: ServiceId,
  options: { readonly force?: boolean | undefined } = {},
) {
  yield* refuseWhenStopping
  const starts = yield* Starts
  const swaps = yield* Swaps
  const name = { tenantId: caller.tenantId, serviceId }
  // Once the kill is a fact the service must be stopped, whether or not the caller waits.
  const ending = Effect.uninterruptible(killLocked(caller, name, options.force ?? false))
  return yield* swaps.bar(name, reason)(starts.preempt(name, { reason })(() => ending))
})
