/**
 * Everything a campaign cares about. Whoever adds a feature that must survive adds it here.
 */
import type { MakeConcern } from "./Concern.ts"
import { makeEvents } from "./Events.ts"
import { makeSecrets } from "./Secrets.ts"
import { makeServices } from "./Services.ts"
import { makeStores } from "./Stores.ts"
import { makeTokens } from "./Tokens.ts"
import { makeVerification } from "./Verification.ts"

/** All concerns. */
export const concerns: ReadonlyArray<MakeConcern> = [
  makeServices,
  makeTokens,
  makeSecrets,
  makeStores,
  makeEvents,
  makeVerification,
]
