/**
 * What tests of the capability manager do again and again: open one on a file, ask it, and look at
 * what that left in the log and on disk.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

import type { Bearer } from "../../src/domain/Capability.ts"
import type { EventType } from "../../src/domain/Event.ts"
import { CapabilityManager, type Granted } from "../../src/kernel/capability/CapabilityManager.ts"
import type { CapabilityOptions } from "../../src/kernel/capability/CapabilityManagerIndexed.ts"
import type { TokenStore } from "../../src/kernel/capability/TokenStore.ts"
import { EventStore } from "../../src/kernel/log/EventStore.ts"
import { layerCapabilities, outside } from "./Workbench.ts"

/** Runs `use` with a manager on the database `filename`, and closes it. */
export const withManager = <A, E>(
  filename: string,
  use: (
    manager: CapabilityManager["Service"],
  ) => Effect.Effect<A, E, CapabilityManager | EventStore | SqlClient | TokenStore>,
  options: Partial<CapabilityOptions> = {},
) =>
  Effect.flatMap(CapabilityManager, use).pipe(Effect.provide(layerCapabilities(filename, options)))

/** Who presents a token just granted. */
export const bearer = (granted: Granted): Bearer => ({
  _tag: "Tenant",
  capability: granted.capability,
})

/** `ok`, or the tag of the failure. */
export const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onSuccess: () => "ok", onFailure: (error) => error._tag as string })

/** All events of one type. */
export const events = (type: EventType) =>
  EventStore.use((store) =>
    Effect.map(Stream.runCollect(store.stream({ types: [type] })), (all) => Array.from(all)),
  )

/** How many tokens are on disk. */
export const storedTokens = (filename: string) =>
  outside(filename, (db) => db.prepare("SELECT token_hash FROM tokens").all()).length
