/**
 * The log of a released version: a database as SQL text, and beside it what it meant then. It is
 * recorded once, by `record.ts`, and replayed for ever.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"

import { allEvents, call, type KernelProcess } from "../process/KernelProcess.ts"

/** Where all of them are, a directory for each version. */
export const goldenDirectory = fileURLToPath(new URL(".", import.meta.url))

/** The tenants of a recording. */
const goldenTenants = ["acme", "beta"] as const

/** What a kernel makes of a log. */
export interface Meaning {
  readonly services: ReadonlyArray<{
    readonly tenantId: string
    readonly serviceId: string
    readonly revision: number
    readonly status: string
    readonly artifact: string
    readonly deployedAt: string
    /** What it answers to a request. */
    readonly says: string
  }>
  /** The hash of every event, in order. */
  readonly hashes: ReadonlyArray<string>
}

/** Asks a kernel what it made of its log; of the first `count` events, where given. */
export const meaningOf = async (kernel: KernelProcess, count = Infinity): Promise<Meaning> => {
  const services: Array<Meaning["services"][number]> = []
  for (const tenant of goldenTenants) {
    const list = await call(kernel, "GET", "/v1/services", { tenant })
    for (const item of list.json.items) {
      const { tenantId, serviceId, revision, status, artifact, deployedAt } = item
      const said = await call(kernel, "GET", `/services/${tenantId}/${serviceId}/`)
      const says = said.status === 200 ? said.text : String(said.status)
      services.push({ tenantId, serviceId, revision, status, artifact, deployedAt, says })
    }
  }
  const events = await allEvents(kernel)
  return {
    services,
    hashes: events.slice(0, count).map((event) => String(event["hash"])),
  }
}

/** A database as SQL text, in an order that does not depend on where its rows lie. */
export const dump = (path: string): string => {
  const database = new DatabaseSync(path)
  const tables = database
    .prepare("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name")
    .all() as Array<{ name: string; sql: string }>
  const lines = tables.map(({ sql }) => `${sql};`)
  for (const { name } of tables.filter((table) => table.sql.startsWith("CREATE TABLE"))) {
    const columns = database.prepare(`SELECT name FROM pragma_table_info('${name}')`).all()
    const names = columns.map((column) => String(column["name"]))
    const values = names.map((column) => `quote("${column}")`).join(" || ',' || ")
    const rows = database
      .prepare(`SELECT ${values} AS row FROM "${name}" ORDER BY "${names[0]}"`)
      .all()
    for (const { row } of rows) {
      lines.push(`INSERT INTO "${name}" (${names.join(", ")}) VALUES (${String(row)});`)
    }
  }
  database.close()
  return `${lines.join("\n")}\n`
}

/** The versions there are logs of. */
export const goldenVersions: ReadonlyArray<string> = readdirSync(goldenDirectory, {
  withFileTypes: true,
})
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

/** What the log of `version` meant when it was recorded. */
export const recordedMeaning = (version: string): Meaning =>
  JSON.parse(readFileSync(join(goldenDirectory, version, "meaning.json"), "utf8"))

/** Writes the database of `version` to `path`. */
export const restore = (version: string, path: string): void => {
  const database = new DatabaseSync(path)
  database.exec(`BEGIN; ${readFileSync(join(goldenDirectory, version, "log.sql"), "utf8")} COMMIT;`)
  database.close()
}
