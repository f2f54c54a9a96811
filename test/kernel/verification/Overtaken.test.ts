/**
 * Repairs that something overtakes: between the look and the repair a service is deployed, killed
 * or lost, its source comes back, or the database fails. What is not so any more is not repaired
 * (promises 1, 2 and 10).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"

import { layerSqlite } from "../../../plugins/sqlite/index.ts"
import { draft } from "../../../src/domain/Event.ts"
import { factOf } from "../../../src/domain/State.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Replayer } from "../../../src/kernel/recovery/Replayer.ts"
import { type FixOptions, Verifier, VerifierChecks } from "../../../src/kernel/recovery/Verifier.ts"
import type { Deployer } from "../../../src/kernel/services/Deployer.ts"
import type { Registry } from "../../../src/kernel/services/Registry.ts"
import type { Supervisor } from "../../../src/kernel/services/Supervisor.ts"
import { makeFaults } from "../harness/FaultyStorage.ts"
import { sha256 } from "../Sha256.ts"
import {
  acme,
  deploy,
  isRunning,
  kill,
  logDeployment,
  lose,
  namesOf,
  smuggle,
  verify,
} from "./Mischief.ts"
import { newDatabase, run } from "./Run.ts"

const putSource = Effect.flatMap(SqlClient, (sql) => {
  const source = `export default "a"`
  return sql`INSERT INTO artifacts ${sql.insert({ hash: sha256(source), source })}`
})

const logKill = Effect.flatMap(EventStore, (store) =>
  store.emit(draft("service_killed", { revision: 1, force: false }, acme("a"))),
)

const buried = Effect.andThen(Effect.andThen(deploy("a"), kill("a")), smuggle("a"))

type Step = Effect.Effect<
  unknown,
  { readonly message: string },
  Deployer | DesiredState | EventStore | Registry | Replayer | SqlClient | Supervisor
>

interface Overtaken {
  readonly before: Step
  readonly found: string
  readonly meanwhile: Step
  readonly options?: FixOptions
  readonly fixes?: ReadonlyArray<string>
  readonly runs: boolean
}

const cases: Readonly<Record<string, Overtaken>> = {
  "an orphan that ends meanwhile is not logged": {
    before: smuggle("a"),
    found: "service_has_event",
    meanwhile: lose("a"),
    runs: false,
  },
  "a missing service that came back meanwhile is not given up": {
    before: Effect.andThen(deploy("a"), lose("a")),
    found: "event_has_service",
    meanwhile: Effect.flatMap(Replayer, (replayer) => replayer.replayDeployments),
    options: { missingServices: "kill" },
    runs: true,
  },
  "a missing service that was killed meanwhile is not brought back": {
    before: Effect.andThen(deploy("a"), lose("a")),
    found: "event_has_service",
    meanwhile: kill("a"),
    runs: false,
  },
  "a killed service that was deployed again meanwhile is not stopped": {
    before: buried,
    found: "killed_stays_killed",
    meanwhile: deploy("a"),
    runs: true,
  },
  "a killed service about which something else is wrong by now waits for another look": {
    before: buried,
    found: "killed_stays_killed",
    meanwhile: Effect.andThen(lose("a"), logDeployment("a", false)),
    runs: false,
  },
  "a service whose source came back meanwhile comes back itself": {
    before: logDeployment("a", false),
    found: "artifact_intact",
    meanwhile: putSource,
    fixes: ["redeployed"],
    runs: true,
  },
  "a service without source that was killed meanwhile is not killed again": {
    before: logDeployment("a", false),
    found: "artifact_intact",
    meanwhile: kill("a"),
    runs: false,
  },
  "a service without source that runs meanwhile goes on": {
    before: logDeployment("a", false),
    found: "artifact_intact",
    meanwhile: smuggle("a"),
    runs: true,
  },
  "a memory that caught up meanwhile is not set": {
    before: Effect.andThen(deploy("a"), logKill),
    found: "memory_is_fold",
    meanwhile: Effect.gen(function* () {
      const [event] = yield* (yield* EventStore).filter({ types: ["service_killed"] })
      yield* (yield* DesiredState).record(event!)
      yield* lose("a")
    }),
    runs: false,
  },
}

/** Has the next verification do something after it has looked at the services. */
const afterTheNextLook = (meanwhile: Step) =>
  Effect.gen(function* () {
    const context = yield* Effect.context<Effect.Services<Step>>()
    let isDue = true
    ;(yield* VerifierChecks).add({
      name: "meanwhile",
      verify: () =>
        Effect.suspend(() => {
          const now = isDue ? meanwhile : Effect.void
          isDue = false
          return now.pipe(
            Effect.provideContext(context),
            Effect.orDie,
            Effect.as({ figures: {}, inconsistencies: [], recommendations: [] }),
          )
        }),
    })
  })

describe("between look and repair", () => {
  for (const [title, { before, found, meanwhile, options, fixes = [], runs }] of Object.entries(
    cases,
  )) {
    it.live(title, () =>
      Effect.gen(function* () {
        const verifier = yield* Verifier
        yield* before
        assert.include(namesOf(yield* verify()), found)
        yield* afterTheNextLook(meanwhile)
        const report = yield* verifier.autoFix(options)
        assert.deepStrictEqual(
          report.fixes.map(({ action }) => action as string),
          fixes,
        )
        assert.deepStrictEqual(report.failures, [])
        assert.strictEqual(yield* isRunning("a"), runs)
      }).pipe(run(newDatabase())),
    )
  }

  it.live("a database that fails then costs no service its life (promise 1)", () => {
    const filename = newDatabase()
    const faults = makeFaults()
    return Effect.gen(function* () {
      const verifier = yield* Verifier
      yield* logDeployment("a", false)
      yield* afterTheNextLook(
        Effect.sync(() => faults.failWhile((sql) => sql.includes("FROM artifacts"))),
      )
      const failure = yield* Effect.flip(verifier.autoFix())
      assert.strictEqual(failure.fault, "io")
      faults.stop()
      assert.strictEqual(factOf(yield* (yield* DesiredState).get, acme("a"))?._tag, "Deployed")
      yield* putSource
      yield* (yield* Replayer).replayDeployments
      assert.isTrue(yield* isRunning("a"))
    }).pipe(run(filename, {}, layerSqlite({ filename, busyTimeoutMs: 100 }, faults.open)))
  })
})
