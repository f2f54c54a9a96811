/**
 * What speaks against a deployment before anything is started, and how a refusal is logged. What
 * depends on the service's present state is a decision under its lock, and not here.
 */
import * as Effect from "effect/Effect"
import * as SubscriptionRef from "effect/SubscriptionRef"

import { draft } from "../../domain/Event.ts"
import {
  type LoggedSpec,
  maxSourceBytes,
  type ServiceSpec,
  toLogged,
} from "../../domain/ServiceSpec.ts"
import { withoutTokens } from "../../domain/Token.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { note } from "../log/Note.ts"
import { Readiness } from "../Readiness.ts"
import { Compiler } from "./Compiler.ts"
import { type Caller, KernelStopping, SourceTooLarge } from "./Deployer.ts"
import { Starts } from "./Starts.ts"

/** Fails once the kernel is stopping. */
export const refuseWhenStopping = Effect.flatMap(Readiness, (readiness) =>
  SubscriptionRef.getUnsafe(readiness).status === "stopping"
    ? Effect.fail(new KernelStopping())
    : Effect.void,
)

/** Logs a refusal on the way out. If that fails too, the refusal itself is what matters. */
export const noteRefusal =
  (caller: Caller, { artifact, serviceId }: LoggedSpec) =>
  ({ message }: { readonly message: string }) => {
    const payload = { artifact, reason: withoutTokens(message) }
    return note(draft("service_deployment_failed", payload, { ...caller, serviceId }))
  }

/** The spec as it is logged, if its source is not too large. */
export const loggedOf = Effect.fnUntraced(function* (spec: ServiceSpec) {
  const artifacts = yield* ArtifactStore
  const bytes = new TextEncoder().encode(spec.source).length
  if (bytes > maxSourceBytes) {
    return yield* new SourceTooLarge({ bytes, maximum: maxSourceBytes })
  }
  return toLogged(spec, artifacts.idOf(spec.source))
})

/** Fails for what would end the start of another spec, and does not even compile. */
export const refuseIdleEnding = Effect.fnUntraced(function* (
  caller: Caller,
  source: string,
  spec: LoggedSpec,
) {
  const compiler = yield* Compiler
  const starts = yield* Starts
  const name = { tenantId: caller.tenantId, serviceId: spec.serviceId }
  if (!starts.isOther(name, spec)) return
  yield* Effect.tapError(compiler.compile(source, spec.format), noteRefusal(caller, spec))
})
