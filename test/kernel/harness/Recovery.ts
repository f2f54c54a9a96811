/**
 * What tests of recovery ask and do beside booting: reading reports, editing a database behind the
 * kernel's back, booting what a pulled plug left.
 */
import { DatabaseSync } from "node:sqlite"

import * as Effect from "effect/Effect"

import type { RecoveryReport } from "../../../src/domain/RecoveryReport.ts"
import type { Disk } from "./Disk.ts"
import { boot, type Kernel, pullPlug, typesOf } from "./Machine.ts"
import { makeWorld, type Script } from "./ScriptedRuntime.ts"

/** The last recovery, which there must have been. */
export const reportOf = (kernel: Kernel) =>
  Effect.flatMap(kernel.replayer.recoveryReport, (report) => Effect.fromOption(report))

/** What became of each service, by service id. */
export const outcomes = (report: RecoveryReport) =>
  Object.fromEntries(report.services.map((service) => [service.serviceId, service.outcome]))

/** Boots what a pulled plug left, with scripts of services replaced. */
export const reboot = (kernel: Kernel, scripts: Record<string, Script> = {}) => {
  const world = makeWorld()
  for (const [id, script] of Object.entries(scripts)) world.overrides.set(`acme/${id}`, script)
  return boot({ disk: pullPlug(kernel), world })
}

/** Edits a database behind the back of every kernel. */
export const edit = (disk: Disk, ...statements: ReadonlyArray<string>) =>
  Effect.sync(() => {
    const database = new DatabaseSync(disk.database)
    for (const statement of statements) database.exec(statement)
    database.close()
  })

/** How many events of one type there are. */
export const countOf = (kernel: Kernel, type: string) =>
  Effect.map(typesOf(kernel), (types) => types.filter((own) => own === type).length)
