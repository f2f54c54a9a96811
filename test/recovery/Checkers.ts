/**
 * The promises as checks on a kernel that has just started and on its database file, independent of
 * whatever workload went before. Each answers with what is broken, naming the promise.
 */
import { DatabaseSync } from "node:sqlite"

import { genesis, linkHash } from "../../src/domain/HashChain.ts"
import { serviceKey } from "../../src/domain/Identifier.ts"
import type { Disk } from "../kernel/harness/Disk.ts"
import type { Kernel } from "../kernel/harness/Machine.ts"
import { sha256 } from "../kernel/Sha256.ts"
import { type Model, possibleOf, type Want } from "./Model.ts"

/** Which sources run, by service key. */
export const sourcesOf = (kernel: Kernel): ReadonlyMap<string, Want> =>
  new Map([...kernel.world.living].map((living) => [living.key, living.code.includes("2") ? 2 : 1]))

/** Promises 1 and 2: what was acknowledged runs, what was killed does not, nothing else does. */
const checkServices = (kernel: Kernel, model: Model): ReadonlyArray<string> => {
  const sources = sourcesOf(kernel)
  const keys = new Set([...model.possible.keys(), ...sources.keys()])
  return [...keys].flatMap((key) => {
    const runs = sources.get(key) ?? "none"
    const possible = possibleOf(model, key)
    return possible.includes(runs)
      ? []
      : [`promises 1, 2: ${key} should be ${possible.join(" or ")} and is ${runs}`]
  })
}

/** Promise 10: what the registry says is what the driver runs, each once. */
export const checkRegistry = (kernel: Kernel): ReadonlyArray<string> => {
  const living = [...kernel.world.living].map(({ key, revision }) => `${key}@${revision}`).sort()
  const listed = kernel.registry
    .all()
    .map((child) =>
      child.status === "running"
        ? `${serviceKey(child.name)}@${child.revision}`
        : `${serviceKey(child.name)} is ${child.status}`,
    )
    .sort()
  return living.join() === listed.join()
    ? []
    : [`promise 10: the registry has ${listed.join()}, the driver runs ${living.join()}`]
}

interface Row {
  readonly id: number
  readonly time: string
  readonly tenant_id: string | null
  readonly service_id: string | null
  readonly type: string
  readonly version: number
  readonly actor: string | null
  readonly causation_id: number | null
  readonly payload: string
  readonly hash: string
}

const rowsOf = (disk: Disk): ReadonlyArray<Row> => {
  const database = new DatabaseSync(disk.database)
  try {
    return database.prepare("SELECT * FROM events ORDER BY id").all() as unknown as Array<Row>
  } finally {
    database.close()
  }
}

/** Promise 5: ids are gapless from 1, and each event is chained to the one before it. */
const checkChain = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  let previous = genesis
  for (const [index, row] of rows.entries()) {
    if (row.id !== index + 1) return [`promise 5: event ${index + 1} is missing`]
    const { tenant_id: tenantId, service_id: serviceId, causation_id: causationId } = row
    const hash = linkHash(sha256, previous, { ...row, tenantId, serviceId, causationId })
    if (hash !== row.hash) return [`promise 5: the chain breaks at event ${row.id}`]
    previous = hash
  }
  return []
}

/** One service as its events tell it. */
interface Told {
  readonly revision: number
  readonly previous: number | undefined
  readonly highest: number
  /** The revision of a swap that has no end yet. */
  readonly open: number | undefined
}

const unheard: Told = { revision: 0, previous: undefined, highest: 0, open: undefined }

/** What is told after an event, and whether it may follow what was told before. */
const tell = (
  type: string,
  payload: { readonly revision: number; readonly to: number },
  told: Told,
): readonly [told: Told, fits: boolean] => {
  const { revision, to } = payload
  switch (type) {
    case "service_deployed": {
      const previous = told.revision === 0 ? undefined : told.revision
      const highest = Math.max(told.highest, revision)
      return [{ revision, previous, highest, open: undefined }, revision === told.highest + 1]
    }
    case "service_killed":
      return [{ ...unheard, highest: told.highest }, revision === told.revision]
    case "hot_swap_started": {
      const highest = Math.max(told.highest, to)
      return [{ ...told, highest, open: to }, to === told.highest + 1 || to === told.previous]
    }
    case "hot_swap_succeeded":
      return [
        { ...told, revision, previous: told.revision, open: undefined },
        revision === told.open,
      ]
    default:
      return [{ ...told, open: undefined }, to === told.open]
  }
}

const factTypes = /^(service_(deployed|killed)|hot_swap_.*)$/

const words: Readonly<Record<string, ReadonlyArray<string>>> = {
  service_deployed: ["deployed", "is"],
  service_killed: ["killed"],
  hot_swap_succeeded: ["is"],
}

/**
 * Promises 1 and 3: every acknowledged fact once, revisions counted up by one and never given
 * again, every swap begun from what there was and ended at most once.
 */
const checkFacts = (rows: ReadonlyArray<Row>, model: Model): ReadonlyArray<string> => {
  const facts = new Set<string>()
  const broken: Array<string> = []
  const latest = new Map<string, Told>()
  for (const row of rows) {
    if (!factTypes.test(row.type)) continue
    const key = `${row.tenant_id}/${row.service_id}`
    const payload = JSON.parse(row.payload) as { readonly revision: number; readonly to: number }
    const before = latest.get(key) ?? unheard
    const [told, fits] = tell(row.type, payload, before)
    if (!fits) {
      const after = JSON.stringify(before)
      broken.push(`promise 3: ${row.type} ${key} ${row.payload} after ${after}`)
    }
    latest.set(key, told)
    for (const word of words[row.type] ?? []) facts.add(`${word} ${key}@${payload.revision}`)
  }
  for (const [key, { open }] of latest) {
    if (open !== undefined) broken.push(`promise 3: the swap of ${key} to ${open} has no end`)
  }
  const lost = model.acknowledged.filter((fact) => !facts.has(fact))
  return [...broken, ...lost.map((fact) => `promise 1: lost "${fact}"`)]
}

/** What a run begins with; the second where the log did not take the first. */
const firstWords: ReadonlySet<string> = new Set(["system_started", "recovery_started"])

/** Promise 9: the last word is the last of its run, and there are as many as clean ends. */
const checkEnds = (rows: ReadonlyArray<Row>, model: Model): ReadonlyArray<string> => {
  const ends = rows.filter((row) => row.type === "system_shutdown_complete")
  const wrong = ends.filter(({ id }) => rows[id] !== undefined && !firstWords.has(rows[id].type))
  return [
    ...wrong.map(({ id }) => `promise 9: event ${id} is not the last of its run`),
    ...(ends.length === model.cleanEnds
      ? []
      : [`promise 9: ${ends.length} last words, ${model.cleanEnds} clean ends`]),
  ]
}

/** All promises that a database file shows. */
const checkLog = (disk: Disk, model: Model): ReadonlyArray<string> => {
  const rows = rowsOf(disk)
  return [...checkChain(rows), ...checkFacts(rows, model), ...checkEnds(rows, model)]
}

/** Everything that is broken in a kernel that has just started. */
export const check = (kernel: Kernel, model: Model): ReadonlyArray<string> => [
  ...(model.contradiction === undefined ? [] : [`promise 1: ${model.contradiction}`]),
  ...checkServices(kernel, model),
  ...checkRegistry(kernel),
  ...checkLog(kernel.disk, model),
]
