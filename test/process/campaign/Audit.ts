/**
 * Reads a database from outside, with none of Solo's code: gapless ids, the hash chain, the head,
 * artifacts, the grammar of runs, and the fold of what should run (promises 1, 2, 3, 5, 9).
 *
 * The chain: `hash` is the SHA-256, in hex, of the JSON array of the hash before it (64 zeros
 * before the first), id, time, tenant, service, type, version, actor, causation, payload text.
 */
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"

import type { Figures } from "./Figures.ts"

/** SHA-256 in hex. */
export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

/** A row of `events`. */
interface Row {
  readonly id: number
  readonly time: string
  readonly tenant_id: string | null
  readonly service_id: string | null
  readonly type: string
  readonly version: number
  readonly payload: string
  readonly actor: string | null
  readonly causation_id: number | null
  readonly hash: string
}

/** The latest fact about a service. */
interface Fact {
  readonly revision: number
  /** `null` when it was killed. */
  readonly artifact: string | null
  /** The highest revision that was ever begun. */
  readonly highest: number
  /** The revision that a rollback goes back to. */
  readonly previous: number | undefined
  /** The revision that a swap was begun to and that the log does not tell the end of. */
  readonly open: number | undefined
}

/** What the log was found to say. It goes on from where the last audit ended. */
export interface Audit {
  readonly hashes: ReadonlyArray<string>
  readonly types: ReadonlyArray<string>
  /** By `tenant/service`. */
  readonly facts: ReadonlyMap<string, Fact>
  /** Every `tenant/service@revision` that was deployed or swapped to, with its artifact. */
  readonly deployed: ReadonlyMap<string, string>
  /** Every `tenant/service@revision` that was killed. */
  readonly killed: ReadonlySet<string>
  /** Ids of services that recovery could not bring back, with the reason. */
  readonly unrecovered: ReadonlyArray<string>
  /** How many events there are of a type about a token, a secret or nothing, of a tenant. */
  readonly told: (type: string, tenantId: string | null, subject: string | null) => number
  /** The hashes that have a row in the table of tokens. */
  readonly tokens: ReadonlySet<string>
  /** Looks at what was appended since, in a copy of the database that it may open for writing. */
  readonly read: (database: string) => void
  /** The same, but another one: what happens to it does not change this one. */
  readonly fork: () => Audit
}

const genesis = "0".repeat(64)

interface Memory {
  hashes: Array<string>
  types: Array<string>
  facts: Map<string, Fact>
  deployed: Map<string, string>
  killed: Set<string>
  recovered: Set<string>
  unrecovered: Array<string>
  /** Counts events by type, tenant and the token or secret they are about. */
  subjects: Map<string, number>
  tokens: Set<string>
}

const subjectOf = (type: string, tenantId: string | null, subject: string | null): string =>
  JSON.stringify([type, tenantId, subject])

const chained = (previous: string, row: Row): string =>
  sha256(
    JSON.stringify([
      previous,
      row.id,
      row.time,
      row.tenant_id,
      row.service_id,
      row.type,
      row.version,
      row.actor,
      row.causation_id,
      row.payload,
    ]),
  )

/** What an event of a swap means. */
const noteSwap = (memory: Memory, figures: Figures, { id, type, payload }: Row, key: string) => {
  const known = memory.facts.get(key)
  const { from, to, revision, previousRevision, spec } = JSON.parse(payload)
  if (known === undefined || known.artifact === null) {
    figures.lose(2, `event ${id} (${type}) is about ${key}, which is not deployed`)
    return
  }
  if ((from ?? previousRevision) !== known.revision) {
    figures.lose(3, `event ${id} (${type}) goes from ${from ?? previousRevision} of ${key}`)
  }
  if (type === "hot_swap_started") {
    if (to !== known.highest + 1 && to !== known.previous) {
      figures.lose(3, `event ${id} swaps ${key}, ${JSON.stringify(known)}, to ${to}`)
    }
    memory.facts.set(key, { ...known, highest: Math.max(known.highest, to), open: to })
    return
  }
  // A source that does not compile is refused before its swap begins.
  if ((to ?? revision) !== known.open && type !== "hot_swap_failed") {
    figures.lose(3, `event ${id} (${type}) ends a swap of ${key} that was not open`)
  }
  if (type !== "hot_swap_succeeded") {
    memory.facts.set(key, { ...known, open: undefined })
    return
  }
  const { artifact } = spec
  const previous = known.revision
  memory.deployed.set(`${key}@${revision}`, artifact)
  memory.facts.set(key, { ...known, revision, artifact, previous, open: undefined })
}

/** What one event means, given all before it. */
const note = (memory: Memory, figures: Figures, row: Row): void => {
  const key = `${row.tenant_id}/${row.service_id}`
  const payload = JSON.parse(row.payload)
  const revision = `${key}@${payload.revision}`
  const previous = memory.types.at(-1)
  const subject = subjectOf(row.type, row.tenant_id, payload.tokenHash ?? payload.name ?? null)
  memory.subjects.set(subject, (memory.subjects.get(subject) ?? 0) + 1)
  if (previous === "system_shutdown_complete" && row.type !== "system_started") {
    figures.lose(9, `event ${row.id} (${row.type}) follows the last word of a run`)
  }
  switch (row.type) {
    case "service_deployed": {
      const { artifact } = payload.spec
      if (memory.deployed.has(revision)) figures.lose(3, `a second service_deployed of ${revision}`)
      const known = memory.facts.get(key)
      const expected = (known?.highest ?? 0) + 1
      if (payload.revision !== expected) figures.lose(3, `${revision} follows ${expected - 1}`)
      memory.deployed.set(revision, artifact)
      memory.facts.set(key, {
        revision: payload.revision,
        artifact,
        highest: expected,
        previous: known === undefined || known.artifact === null ? undefined : known.revision,
        open: undefined,
      })
      return
    }
    case "service_killed": {
      const known = memory.facts.get(key)
      if (known?.artifact === null) figures.lose(2, `${revision} was killed twice`)
      memory.killed.add(revision)
      memory.facts.set(key, {
        revision: payload.revision,
        artifact: null,
        highest: known?.highest ?? payload.revision,
        previous: undefined,
        open: undefined,
      })
      return
    }
    case "hot_swap_started":
    case "hot_swap_succeeded":
    case "hot_swap_rolled_back":
    case "hot_swap_failed":
      return noteSwap(memory, figures, row, key)
    case "service_recovered": {
      const once = `${row.causation_id}:${key}`
      if (memory.recovered.has(once)) figures.lose(3, `${key} was recovered twice in one recovery`)
      memory.recovered.add(once)
      return
    }
    case "service_recovery_failed":
      memory.unrecovered.push(`event ${row.id}: ${revision}: ${payload.reason}`)
      return
    case "system_started": {
      const clean = previous === "system_shutdown_complete" ? "clean" : "unclean"
      const end = previous === undefined ? "none" : clean
      if (payload.previousEnd !== end) {
        figures.lose(9, `event ${row.id} says ${payload.previousEnd} of a run that was ${end}`)
      }
      return
    }
    default:
  }
}

const checkWhole = (database: DatabaseSync, memory: Memory, figures: Figures): void => {
  const last = memory.hashes.length
  const [{ n }] = database.prepare("SELECT count(*) AS n FROM events").all() as [{ n: number }]
  if (n !== last) figures.lose(5, `${n} rows, but the last id is ${last}`)
  const [head] = database.prepare("SELECT last_id, last_hash FROM log_head").all()
  if (head?.["last_id"] !== last || head["last_hash"] !== (memory.hashes.at(-1) ?? genesis)) {
    figures.lose(5, `log_head is ${JSON.stringify(head)}, the last event is ${last}`)
  }
  const check = database.prepare("PRAGMA quick_check(10)").all()
  if (check[0]?.["quick_check"] !== "ok") figures.lose(1, `quick_check: ${JSON.stringify(check)}`)
}

/** The artifact that was kept with an event. */
const artifactIn = ({ payload, type }: Row): string | undefined => {
  if (type === "hot_swap_started") return JSON.parse(payload).artifact
  return ["service_deployed", "hot_swap_succeeded"].includes(type)
    ? JSON.parse(payload).spec.artifact
    : undefined
}

const readTokens = (database: DatabaseSync, memory: Memory): void => {
  memory.tokens.clear()
  // The oldest databases have no such table.
  const has = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'tokens'").all()
  if (has.length === 0) return
  const tokens = database.prepare("SELECT token_hash AS hash FROM tokens").all()
  for (const { hash } of tokens) memory.tokens.add(String(hash))
}

const readFrom = (memory: Memory, figures: Figures, path: string): void => {
  if (!existsSync(path)) {
    if (memory.hashes.length > 0) figures.lose(1, "the database is gone")
    return
  }
  const database = new DatabaseSync(path)
  try {
    const has = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'log_head'").all()
    if (has.length === 0) {
      if (memory.hashes.length > 0) figures.lose(1, "the log's tables are gone")
      return
    }
    if (database.prepare("SELECT 1 FROM log_head").all().length === 0 && !memory.hashes.length) {
      return
    }
    const known = memory.hashes.length
    const anchor = database.prepare("SELECT hash FROM events WHERE id = ?").all(known)
    if (known > 0 && anchor[0]?.["hash"] !== memory.hashes[known - 1]) {
      figures.lose(1, `event ${known}, seen durable before, is gone or changed`)
      return
    }
    const artifact = database.prepare("SELECT source FROM artifacts WHERE hash = ?")
    const rows = database.prepare("SELECT * FROM events WHERE id > ? ORDER BY id").iterate(known)
    for (const row of rows as unknown as Iterable<Row>) {
      if (row.id !== memory.hashes.length + 1) {
        figures.lose(5, `event ${row.id} follows ${memory.hashes.length}`)
        return
      }
      if (row.hash !== chained(memory.hashes.at(-1) ?? genesis, row)) {
        figures.lose(5, `event ${row.id} does not match its hash`)
      }
      note(memory, figures, row)
      const named = artifactIn(row)
      if (named !== undefined) {
        const source = artifact.all(named)[0]?.["source"]
        if (source === undefined || sha256(String(source)) !== named) {
          figures.lose(1, `event ${row.id}: artifact ${named} is missing or changed`)
        }
      }
      memory.hashes.push(row.hash)
      memory.types.push(row.type)
    }
    figures.count("events audited", memory.hashes.length - known)
    readTokens(database, memory)
    checkWhole(database, memory, figures)
  } finally {
    database.close()
  }
}

const over = (memory: Memory, figures: Figures): Audit => ({
  ...memory,
  told: (...subject) => memory.subjects.get(subjectOf(...subject)) ?? 0,
  read: (path) => readFrom(memory, figures, path),
  fork: () =>
    over(
      {
        hashes: [...memory.hashes],
        types: [...memory.types],
        facts: new Map(memory.facts),
        deployed: new Map(memory.deployed),
        killed: new Set(memory.killed),
        recovered: new Set(memory.recovered),
        unrecovered: [...memory.unrecovered],
        subjects: new Map(memory.subjects),
        tokens: new Set(memory.tokens),
      },
      figures,
    ),
})

/** An audit that has seen nothing yet. */
export const makeAudit = (figures: Figures): Audit =>
  over(
    {
      hashes: [],
      types: [],
      facts: new Map(),
      deployed: new Map(),
      killed: new Set(),
      recovered: new Set(),
      unrecovered: [],
      subjects: new Map(),
      tokens: new Set(),
    },
    figures,
  )
