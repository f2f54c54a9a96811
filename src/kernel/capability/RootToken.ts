/**
 * The one secret that may do everything. It owns the comparison and the replacement; where the
 * secret is kept is `main`'s business.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** The root token could not be replaced; the one before is still good. */
export class RootTokenKept extends Schema.TaggedError<RootTokenKept>()("RootTokenKept", {
  /** `fixed`: it was given to the kernel, which cannot change it. `storage`: writing it failed. */
  reason: Schema.Literals(["fixed", "storage"]),
  /** What to do instead. */
  message: Schema.String,
}) {}

/** The root capability's secret, kept only as its hash. */
export class RootToken extends Context.Service<
  RootToken,
  {
    /**
     * Whether what was presented, whose SHA-256 this is in hex, is the root token. Takes the same
     * time whatever differs.
     */
    readonly verify: (digest: string) => boolean
    /**
     * Makes a new root token: durable in its file before it is good, and good before it is
     * answered; from then on the one before is not. After a crash in between, the file decides.
     */
    readonly rotate: Effect.Effect<Redacted.Redacted<string>, RootTokenKept>
  }
>()("solo/kernel/capability/RootToken") {}
