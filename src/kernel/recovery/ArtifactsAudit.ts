/**
 * Checks that the source of every deployed service is there and is what was deployed: without it
 * the service does not survive the next start.
 */
import * as Effect from "effect/Effect"

import { isUpOrStarting } from "../../domain/ServiceJudgement.ts"
import { type Deployed, type State, shouldRun } from "../../domain/State.ts"
import { type Inconsistency, inconsistency } from "../../domain/VerificationReport.ts"
import { ArtifactStore } from "../log/ArtifactStore.ts"
import { Registry } from "../services/Registry.ts"

const byArtifact = (facts: ReadonlyArray<Deployed>) => {
  const users = new Map<string, Array<Deployed>>()
  for (const fact of facts) {
    const { artifact } = fact.spec
    users.set(artifact, [...(users.get(artifact) ?? []), fact])
  }
  return users
}

const lost = Effect.fnUntraced(function* ({ name, eventId }: Deployed, reason: string) {
  const present = (yield* Registry).get(name)
  const up = present !== undefined && isUpOrStarting(present)
  // One that runs is of use until it ends: only a person can say that it is to be given up.
  const detail = up ? `${reason} (it runs, but will not survive a restart)` : reason
  return inconsistency("artifact_intact", detail, { name, eventId, fixable: !up })
})

/** Loads every artifact that `state` needs, one after the other, with a turn for others after each. */
export const auditArtifacts = Effect.fnUntraced(function* (state: State) {
  const artifacts = yield* ArtifactStore
  const inconsistencies: Array<Inconsistency> = []
  const users = byArtifact(shouldRun(state))
  for (const [artifact, facts] of users) {
    const damage = yield* artifacts.load(artifact).pipe(
      Effect.as(undefined),
      Effect.catchTag("ArtifactDamaged", (error) => Effect.succeed(error.message)),
    )
    for (const fact of damage === undefined ? [] : facts) {
      inconsistencies.push(yield* lost(fact, damage!))
    }
    yield* Effect.yieldNow
  }
  return { artifactsChecked: users.size, inconsistencies }
})
