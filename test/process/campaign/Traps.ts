/**
 * Moments of a kernel's life that are too short to be hit by chance: the kernel is started with a
 * trap, which kills it with SIGKILL right there (`inside/Snare.ts`). A trap that was sprung is a
 * hit that can be proven; one that was not is counted as missed.
 */

import type { Random } from "./Random.ts"

/** What a kernel does that a trap can be set at. */
export type Phase = "migration" | "recovery" | "commit" | "checkpoint" | "rotation" | "shutdown"

/** When exactly: around the statement, or around the commit of its transaction. */
const moments = ["before", "after", "before commit", "after commit"] as const

/** One trap. */
export interface Trap {
  readonly phase: Phase
  /** What is done there, as a regular expression: SQL, `CLOSE` of the database, or `RENAME`. */
  readonly statement: string
  /** What its parameters say, as a regular expression. */
  readonly values?: string
  /** Which time it is met. */
  readonly nth: number
  readonly when: (typeof moments)[number]
  /** The file that tells that it was sprung. */
  readonly sprung: string
  /** The file without which it is not set yet; it is set from the outset where none is named. */
  readonly armed?: string
}

type Kind = Pick<Trap, "statement" | "values"> & { readonly most: number; readonly around?: true }

const events = (types: string, most: number): Kind => ({
  statement: "INSERT INTO .?events",
  values: `"(${types})"`,
  most,
})

const kinds: Readonly<Record<Phase, ReadonlyArray<Kind>>> = {
  migration: [{ statement: "CREATE (TABLE|INDEX)|INSERT INTO .?effect_sql_migrations", most: 8 }],
  recovery: [
    events("recovery_started", 1),
    events("service_recovered", 4),
    events("recovery_completed", 1),
    events("verification_completed", 1),
  ],
  commit: [
    events("service_deployed|service_killed", 4),
    events("hot_swap_started|hot_swap_succeeded|hot_swap_rolled_back", 2),
    events("capability_granted|capability_revoked", 6),
    events("secret_stored|secret_revoked", 4),
    { statement: "DELETE FROM .?tokens", most: 3 },
    { statement: "INSERT (OR \\w+ )?INTO .?(artifacts|tokens|secrets)", most: 6 },
  ],
  checkpoint: [{ statement: "(INSERT OR REPLACE INTO|DELETE FROM) .?checkpoints", most: 2 }],
  rotation: [
    { statement: "(INSERT INTO|DELETE FROM) .?vault_master_keys", most: 2 },
    { statement: "UPDATE .?vault_data_keys", most: 2 },
    { statement: "^RENAME", values: "master-key", most: 2, around: true },
  ],
  shutdown: [
    events("system_shutdown_started", 1),
    events("system_shutdown_complete", 1),
    { statement: "checkpoints", most: 2 },
    { statement: "^CLOSE", most: 2, around: true },
    { statement: "wal_checkpoint", most: 1, around: true },
  ],
}

/** A trap somewhere in `phase`. */
export const makeTrap = (random: Random, phase: Phase, sprung: string): Trap => {
  const { statement, values, most, around } = random.pick(kinds[phase])
  return {
    phase,
    statement,
    ...(values === undefined ? {} : { values }),
    nth: random.between(1, most),
    when: random.pick(around === true ? moments.slice(0, 2) : moments),
    sprung,
  }
}

const snare = new URL("./inside/Snare.ts", import.meta.url)

/** The environment of a kernel that runs into it. */
export const trapped = (trap: Trap): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${snare.href}`,
  TEST_TRAP: JSON.stringify(trap),
})
