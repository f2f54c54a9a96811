/**
 * What runs once everything has started. Nothing yet.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { Config } from "./Config.ts"

/** Runs recovery and lets the kernel become ready; its finalizers are the first to run. */
export const startup = (
  _config: Config,
  _context: Context.Context<never>,
): Effect.Effect<void, never, Scope.Scope> => Effect.void
