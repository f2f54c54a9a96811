/**
 * The promises as checks on the log in a database file, read with nothing of the kernel but its
 * hash. Each answers with what is broken, naming the promise.
 */
import { DatabaseSync } from "node:sqlite"

import { genesis, linkHash } from "../../src/domain/HashChain.ts"
import type { Disk } from "../kernel/harness/Disk.ts"
import { sha256 } from "../kernel/Sha256.ts"
import type { Model } from "./Model.ts"

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

/** Facts of services, as the model puts them; the others are called by their type. */
const words: Readonly<Record<string, ReadonlyArray<string>>> = {
  service_deployed: ["deployed", "is"],
  service_killed: ["killed"],
  hot_swap_succeeded: ["is"],
}

/**
 * Promise 3: revisions are counted up by one and never given again, every swap begins from what
 * there was and ends at most once.
 */
const checkHistories = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
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
  }
  for (const [key, { open }] of latest) {
    if (open !== undefined) broken.push(`promise 3: the swap of ${key} to ${open} has no end`)
  }
  return broken
}

/** What an event says happened, as the model puts it. */
const factsOf = (row: Row): ReadonlyArray<string> => {
  const { name, revision, tokenHash } = JSON.parse(row.payload) as Readonly<Record<string, string>>
  const of = `${row.tenant_id}/${tokenHash ?? name ?? row.service_id}`
  return words[row.type]?.map((word) => `${word} ${of}@${revision}`) ?? [`${row.type} ${of}`]
}

/** A swap to what runs already is acknowledged, and no event: it says what is, not what was done. */
const isState = (fact: string): boolean => fact.startsWith("is ")

/** Promise 1: every fact is there, what was done as often as it was acknowledged. */
const checkFacts = (rows: ReadonlyArray<Row>, model: Model): ReadonlyArray<string> => {
  const told = new Map<string, number>()
  for (const fact of rows.flatMap(factsOf)) told.set(fact, (told.get(fact) ?? 0) + 1)
  const done = model.acknowledged.filter((fact) => !isState(fact))
  return [...done, ...new Set(model.acknowledged.filter(isState))].flatMap((fact) => {
    const left = (told.get(fact) ?? 0) - 1
    told.set(fact, left)
    return left < 0 ? [`promise 1: lost "${fact}"`] : []
  })
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
export const checkLog = (disk: Disk, model: Model): ReadonlyArray<string> => {
  const rows = rowsOf(disk)
  return [
    ...checkChain(rows),
    ...checkHistories(rows),
    ...checkFacts(rows, model),
    ...checkEnds(rows, model),
  ]
}
