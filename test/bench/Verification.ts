/**
 * What a full verification of the log costs per event, beside a plain scan of the same file with
 * `JSON.parse` and SHA-256 in the same run; and how long others wait meanwhile.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { DatabaseSync } from "node:sqlite"

import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"

import { layerSqlite } from "../../plugins/sqlite/index.ts"
import { draft, type EventDraft } from "../../src/domain/Event.ts"
import { ServiceId, TenantId } from "../../src/domain/Identifier.ts"
import { LoggedSpec } from "../../src/domain/ServiceSpec.ts"
import type { Digest } from "../../src/kernel/log/Digest.ts"
import { auditLog, auditStart } from "../../src/kernel/recovery/LogAudit.ts"
import { layerDigest, sha256 } from "../kernel/Sha256.ts"
import { fillLog } from "./LogFile.ts"

/** Services the events are about; every tenth event is a deployment. */
const services = 100

const draftOf = (index: number): EventDraft => {
  const serviceId = ServiceId.make(`service-${index % services}`)
  const origin = { tenantId: TenantId.make(`tenant-${index % 7}`), serviceId }
  const revision = Math.floor(index / services) + 1
  if (index % 10 !== 0) {
    return draft("service_crashed", { revision, reason: `it threw: ${index} is odd` }, origin)
  }
  const spec = Schema.decodeSync(LoggedSpec)({ serviceId, artifact: sha256(serviceId) })
  return draft("service_deployed", { revision, spec }, origin)
}

const plainScan = (filename: string): number => {
  const database = new DatabaseSync(filename, { readOnly: true })
  const begin = performance.now()
  for (const row of database.prepare("SELECT * FROM events ORDER BY id").iterate()) {
    JSON.parse(row["payload"] as string)
    sha256(JSON.stringify(Object.values(row)))
  }
  database.close()
  return performance.now() - begin
}

/** The longest time, in milliseconds, that the event loop did not get its turn during `work`. */
const longestStall = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const begin = performance.now()
    yield* work
    delay.disable()
    return { took: performance.now() - begin, longest: delay.max / 1e6 }
  })

const within = <A, E>(filename: string, effect: Effect.Effect<A, E, Digest | SqlClient>) =>
  Effect.runPromise(
    Effect.provide(
      effect,
      Layer.mergeAll(layerSqlite({ filename, busyTimeoutMs: 100 }), layerDigest),
    ) as Effect.Effect<A, E>,
  )

/** The figures, one row each; a figure and its baseline are of the same run. */
export const benchVerification = async (events = 200_000) => {
  const directory = mkdtempSync(join(tmpdir(), "solo-bench-"))
  const filename = join(directory, "solo.db")
  try {
    await within(filename, Effect.void)
    fillLog(filename, events, draftOf)
    const plain = plainScan(filename)
    const { took, longest } = await within(
      filename,
      longestStall(auditLog({ from: auditStart, untilId: events })),
    )
    const again = plainScan(filename)
    const perEvent = (milliseconds: number) => (milliseconds * 1000) / events
    return [
      {
        name: `full verification of ${events} events`,
        unit: "µs per event",
        figure: perEvent(took),
        baseline: perEvent((plain + again) / 2),
        baselineName: "plain scan with JSON.parse and SHA-256",
      },
      {
        name: "longest stall of the event loop meanwhile",
        unit: "ms",
        figure: longest,
        baseline: plain,
        baselineName: "plain scan, which yields to nobody",
      },
    ]
  } finally {
    rmSync(directory, { recursive: true })
  }
}
