/**
 * The figures of recovery and verification are those of their reports (promise 10).
 */
import { DatabaseSync } from "node:sqlite"

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"

import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { Deployer } from "../../../src/kernel/services/Deployer.ts"
import { caller, newDatabase, run, spec } from "./Run.ts"

const figures = Effect.gen(function* () {
  yield* (yield* Verifier).verifyConsistency({ full: true })
  const lines = (yield* PrometheusMetrics.format()).split("\n")
  return (name: string) => lines.find((line) => line.startsWith(`${name} `))?.split(" ")[1]
})

describe("metrics of recovery and verification", () => {
  it.live("are those of the last one", () =>
    Effect.gen(function* () {
      const filename = newDatabase()
      yield* run(filename)(
        Effect.flatMap(Deployer, (deployer) =>
          Effect.forEach(["a", "b"], (name) => deployer.deploy(caller("acme"), spec(name))),
        ),
      )
      const well = yield* figures.pipe(run(filename))
      assert.strictEqual(well('solo_recovery_services{outcome="recovered"}'), "2")
      assert.strictEqual(well('solo_recovery_services{outcome="failed"}'), "0")
      assert.strictEqual(well("solo_verification_inconsistencies"), "0")
      const database = new DatabaseSync(filename)
      database.exec("DELETE FROM artifacts")
      database.close()
      const ill = yield* figures.pipe(run(filename))
      assert.strictEqual(ill('solo_recovery_services{outcome="recovered"}'), "0")
      assert.strictEqual(ill('solo_recovery_services{outcome="failed"}'), "2")
      assert.strictEqual(ill("solo_verification_inconsistencies"), "2")
    }),
  )
})
