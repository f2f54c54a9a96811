/**
 * The one secret that may do everything. It owns the comparison; where the secret comes from is
 * `main`'s business.
 */
import * as Context from "effect/Context"
import type * as Redacted from "effect/Redacted"

/** The root capability's secret, kept only as its hash. */
export class RootToken extends Context.Service<
  RootToken,
  {
    /** Whether `presented` is the root token. Takes the same time whatever differs. */
    readonly verify: (presented: Redacted.Redacted<string>) => boolean
  }
>()("solo/kernel/RootToken") {}
