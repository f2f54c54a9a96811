/**
 * The replacement of the master key, step by step. Each step makes one thing durable; a kernel that
 * is killed behind each of them in turn has left every state that a crash can leave, in whatever
 * order the steps are taken.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"

import { type Era, inspect } from "./Era.ts"
import { start } from "./Run.ts"
import type { Trap } from "./Traps.ts"

/** One step, and the moment at which it is durable. */
export type RotationStep = Pick<Trap, "statement" | "values" | "nth" | "when">

/** The steps in the order in which they are taken. */
export const rotationSteps = {
  keyAdded: { statement: "^RENAME", values: "master-key", nth: 1, when: "after" },
  keyRegistered: { statement: "INSERT INTO .?vault_master_keys", nth: 1, when: "after" },
  dataKeysWrapped: { statement: "UPDATE .?vault_data_keys", nth: 1, when: "after commit" },
  oldKeyDeleted: { statement: "DELETE FROM .?vault_master_keys", nth: 1, when: "after commit" },
  oldKeyRetired: { statement: "^RENAME", values: "master-key", nth: 2, when: "after" },
} as const satisfies Readonly<Record<string, RotationStep>>

/** A trap behind a step. */
export const trapBehind = (step: RotationStep, sprung: string): Trap => ({
  phase: "rotation",
  ...step,
  sprung,
})

const steps: ReadonlyArray<RotationStep> = Object.values(rotationSteps)

/** Starts a kernel, has it replace its master key, and kills it behind the `nth` step. */
export const endRotating = async (era: Era, nth: number): Promise<void> => {
  const armed = join(era.root, "armed")
  const trap = trapBehind(steps[nth % steps.length]!, join(era.root, "sprung"))
  const { conversation, end, ready } = await start(era, { ...trap, armed })
  await ready
  // There is a data key to be wrapped anew, whatever the clients have done so far.
  const stored = { tenant: "vault-0", body: { value: "any" } }
  await conversation.ask("PUT", "/v1/secrets/before-a-rotation", stored)
  writeFileSync(armed, "")
  await conversation.ask("POST", "/v1/master-key/rotate")
  await end({ kind: "kill" })
  inspect(era)
}
