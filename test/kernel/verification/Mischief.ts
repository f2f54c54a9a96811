/**
 * What verification is tested with: ways to make log, memory and supervision disagree.
 */
import { DatabaseSync } from "node:sqlite"

import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"

import { draft } from "../../../src/domain/Event.ts"
import { toLogged } from "../../../src/domain/ServiceSpec.ts"
import type { VerificationReport } from "../../../src/domain/VerificationReport.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { Deployer } from "../../../src/kernel/services/Deployer.ts"
import { makeChild, Registry } from "../../../src/kernel/services/Registry.ts"
import { Supervisor } from "../../../src/kernel/services/Supervisor.ts"
import { sha256 } from "../Sha256.ts"
import { caller, service, spec, tenant } from "./Run.ts"

export const acme = (serviceId: string) => ({
  tenantId: tenant("acme"),
  serviceId: service(serviceId),
})

export const deploy = Effect.fnUntraced(function* (...names: ReadonlyArray<string>) {
  const deployer = yield* Deployer
  for (const name of names) yield* deployer.deploy(caller("acme"), spec(name))
})

export const kill = (name: string) =>
  Effect.flatMap(Deployer, (deployer) => deployer.kill(caller("acme"), service(name)))

export const verify = (full = false) =>
  Effect.flatMap(Verifier, (verifier) => verifier.verifyConsistency({ full }))

export const logged = (name: string, source = `export default "${name}"`) =>
  toLogged(spec(name, source), sha256(source))

/** Starts a service behind the deployer's back. */
export const smuggle = Effect.fnUntraced(function* (name: string) {
  const registry = yield* Registry
  const supervisor = yield* Supervisor
  const child = makeChild({ name: acme(name), revision: 1, spec: logged(name), deployedAt: "" })
  registry.put(child)
  yield* supervisor.start(child, "")
  yield* supervisor.watch(child, "")
})

/** Logs a deployment behind the deployer's back, its source included if there is to be one. */
export const logDeployment = Effect.fnUntraced(function* (name: string, keep = true) {
  const sql = yield* SqlClient
  const store = yield* EventStore
  const desired = yield* DesiredState
  const source = `export default "${name}"`
  const event = draft("service_deployed", { revision: 1, spec: logged(name) }, acme(name))
  const artifact = sql`INSERT INTO artifacts ${sql.insert({ hash: sha256(source), source })}`
  const [fact] = yield* store.append([event], keep ? Effect.asVoid(artifact) : undefined)
  yield* desired.record(fact)
})

/** Logs many deployments of one source behind the deployer's back, all at once. */
export const logDeployments = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
  const sql = yield* SqlClient
  const source = "export default 1"
  const [first, ...rest] = names.map((name) =>
    draft("service_deployed", { revision: 1, spec: logged(name, source) }, acme(name)),
  )
  const artifact = sql`INSERT INTO artifacts ${sql.insert({ hash: sha256(source), source })}`
  const facts = yield* (yield* EventStore).append([first!, ...rest], Effect.asVoid(artifact))
  for (const fact of facts) yield* (yield* DesiredState).record(fact)
})

/** Supervision forgets a service. */
export const lose = Effect.fnUntraced(function* (name: string) {
  const registry = yield* Registry
  const child = registry.get(acme(name))!
  yield* (yield* Supervisor).stop(child, { force: true })
  registry.remove(child)
})

export const isRunning = (name: string) =>
  Effect.map(Registry, (registry) => registry.get(acme(name))?.status === "running")

export const namesOf = (report: VerificationReport) =>
  report.inconsistencies.map((one) => one.invariant)

export const eventTypes = Effect.flatMap(EventStore, (store) =>
  Effect.map(Stream.runCollect(store.stream()), (events) => events.map(({ type }) => type)),
)

export const edit = (filename: string, statement: string) => {
  const database = new DatabaseSync(filename)
  database.exec(statement)
  database.close()
}

interface Checkpoint {
  readonly last_id: number
  readonly last_hash: string
  readonly format: string
  readonly state: string
}

/** Changes what checkpoints say, and makes their checksums fit. */
export const reseal = (filename: string, change: (checkpoint: Checkpoint) => Checkpoint) => {
  const database = new DatabaseSync(filename)
  const rows = database.prepare("SELECT last_id, last_hash, format, state FROM checkpoints").all()
  database.exec("DELETE FROM checkpoints")
  const insert = database.prepare("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)")
  for (const row of rows) {
    const changed = change(row as unknown as Checkpoint)
    const content = [changed.last_id, changed.last_hash, changed.format, changed.state] as const
    insert.run(...content, sha256(JSON.stringify(content)))
  }
  database.close()
}

/** Takes all facts but the first out of the checkpoints. */
export const cutCheckpoint = (filename: string) =>
  reseal(filename, (row) => ({ ...row, state: row.state.split("\n")[0]! }))
