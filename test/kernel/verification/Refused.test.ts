/**
 * Verification and checkpoints while the log or their table takes nothing: they are worth less than
 * what they serve, and hinder nothing (promises 3, 4 and 9).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { makeFaults } from "../harness/FaultyStorage.ts"
import { boot, deploy, halt, named, pass, running, typesOf } from "../harness/Machine.ts"
import { reportOf } from "../harness/Recovery.ts"

const a = named("acme", "a")

const verifications = (types: ReadonlyArray<string>) =>
  types.filter((type) => type === "verification_completed").length

const realTurn = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))

describe("storage that refuses", () => {
  it.effect("a verification that cannot be logged is a report all the same, without an id", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open })
      yield* deploy(kernel, a)
      const before = verifications(yield* typesOf(kernel))
      faults.failWhile((sql) => sql.includes("INSERT INTO events"))
      const refused = yield* kernel.verifier.verifyConsistency()
      assert.isNull(refused.verificationId)
      assert.strictEqual(refused.status, "ok")
      faults.stop()
      const logged = yield* kernel.verifier.verifyConsistency()
      assert.isNotNull(logged.verificationId)
      assert.strictEqual(verifications(yield* typesOf(kernel)), before + 1)
      yield* halt(kernel)
    }),
  )

  it.effect("the schedule goes on after a verification that broke off", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const settings = { verificationIntervalMs: 10_000, fullVerificationIntervalMs: 10_000 }
      const kernel = yield* boot({ open: faults.open, settings })
      const before = verifications(yield* typesOf(kernel))
      faults.failWhile((sql) => sql.includes("FROM checkpoints"))
      yield* pass(10_000)
      assert.strictEqual(verifications(yield* typesOf(kernel)), before)
      faults.stop()
      yield* pass(10_000)
      // The database file is examined in a thread, which no test clock moves.
      while (verifications(yield* typesOf(kernel)) === before) yield* realTurn
      yield* halt(kernel)
    }),
  )

  it.effect("a checkpoint that cannot be taken costs the next start time, and nothing else", () =>
    Effect.gen(function* () {
      const faults = makeFaults()
      const kernel = yield* boot({ open: faults.open, settings: { checkpointEvery: 1 } })
      yield* deploy(kernel, a)
      faults.failWhile((sql) => sql.includes("INTO checkpoints"))
      yield* pass(3000, 1000)
      yield* halt(kernel)
      assert.deepStrictEqual(kernel.lifecycle.problems(), [])
      const next = yield* boot({ disk: kernel.disk })
      assert.strictEqual(next.lifecycle.previousEnd, "clean")
      assert.deepStrictEqual(running(next), ["acme/a@1"])
      assert.strictEqual((yield* reportOf(next)).eventsReplayed, 1)
      yield* halt(next)
    }),
  )
})
