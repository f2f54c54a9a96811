/**
 * Whether the kernel can be relied on yet, or still. It owns the one value that `/health/ready`
 * answers; `Startup`, the replayer and `Lifecycle` move it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SubscriptionRef from "effect/SubscriptionRef"

/** The kernel's phase, with the progress of recovery while it lasts. */
export type Phase =
  | {
      readonly status: "recovering"
      readonly recovered: number
      readonly failed: number
      readonly total: number
    }
  | { readonly status: "ready" }
  | { readonly status: "stopping" }

/** The kernel's phase, to read, watch and move. */
export class Readiness extends Context.Service<Readiness, SubscriptionRef.SubscriptionRef<Phase>>()(
  "solo/kernel/Readiness",
) {
  static readonly layer = Layer.effect(
    Readiness,
    Effect.map(
      SubscriptionRef.make<Phase>({ status: "recovering", recovered: 0, failed: 0, total: 0 }),
      (ref) => Readiness.of(ref),
    ),
  )
}
