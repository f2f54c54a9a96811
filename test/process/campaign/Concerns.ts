/**
 * Everything a campaign cares about. Whoever adds a feature that must survive adds it here.
 */
import type { MakeConcern } from "./Concern.ts"
import { makeEvents } from "./Events.ts"
import { makeServices } from "./Services.ts"

/** All concerns. */
export const concerns: ReadonlyArray<MakeConcern> = [makeServices, makeEvents]
