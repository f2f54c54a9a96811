/**
 * Rolls a service back: ends the swap or the deployment that is under way, if one is; else swaps it
 * for the revision before.
 */
import * as Effect from "effect/Effect"

import { decideRollback } from "../../domain/Decision.ts"
import type { ServiceId, ServiceName } from "../../domain/Identifier.ts"
import { factOf } from "../../domain/State.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { DesiredState } from "../recovery/DesiredState.ts"
import {
  type Caller,
  defaultRollbackWindowMs,
  NoPreviousRevision,
  ServiceNotFound,
  type SwapOptions,
} from "./Deployer.ts"
import { hotSwap } from "./HotSwap.ts"
import { refuseWhenStopping } from "./Refusal.ts"
import { makeChild } from "./Registry.ts"
import { status } from "./ServiceList.ts"
import { ServiceLock } from "./ServiceLock.ts"
import { Starts } from "./Starts.ts"
import { type OpenSwap, Swaps } from "./Swaps.ts"

const reason = "a rollback was asked for"

const rollbackLocked = Effect.fnUntraced(function* (
  caller: Caller,
  name: ServiceName,
  { rollbackWindowMs = defaultRollbackWindowMs }: SwapOptions,
  swap: OpenSwap,
) {
  const { serviceId } = name
  const fact = factOf(yield* (yield* DesiredState).current, name)
  yield* refuseWhenStopping
  const decision = decideRollback(fact)
  if (decision._tag === "NotFound") return yield* new ServiceNotFound({ serviceId })
  if (decision._tag === "NoPrevious") {
    return yield* new NoPreviousRevision({ serviceId, revision: fact!.revision })
  }
  const { from, to } = decision
  const source = yield* (yield* ArtifactStore).load(to.spec.artifact)
  const child = makeChild({ name, ...to, deployedAt: "" })
  return yield* hotSwap({ caller, child, from, source, rollbackWindowMs, swap })
})

/** @see Deployer.rollback */
export const rollback = Effect.fn("Deployer.rollback")(function* (
  caller: Caller,
  serviceId: ServiceId,
  options: SwapOptions = {},
) {
  yield* refuseWhenStopping
  const locks = yield* ServiceLock
  const starts = yield* Starts
  const swaps = yield* Swaps
  const name = { tenantId: caller.tenantId, serviceId }
  const now = status(name.tenantId, serviceId)
  if (yield* swaps.end(name, reason)) return yield* now
  // Others may have waited behind it: what they start meanwhile is ended, too, and never shown.
  if (yield* starts.end(name, reason)) return yield* starts.preempt(name, { reason })(() => now)
  return yield* swaps.open(name)((open) =>
    locks.hold(name)(Effect.uninterruptible(rollbackLocked(caller, name, options, open))),
  )
})
