/**
 * Random mischief against a kernel: after a repair it is what its log says (promises 3, 10).
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"

import { draft } from "../../../src/domain/Event.ts"
import { factOf, shouldRun } from "../../../src/domain/State.ts"
import { EventStore } from "../../../src/kernel/log/EventStore.ts"
import { DesiredState } from "../../../src/kernel/recovery/DesiredState.ts"
import { Verifier } from "../../../src/kernel/recovery/Verifier.ts"
import { Registry } from "../../../src/kernel/services/Registry.ts"
import { acme, deploy, eventTypes, isRunning, kill, lose, smuggle } from "./Mischief.ts"
import { newDatabase, run } from "./Run.ts"

/** How many sequences of mischief are tried. */
const runs = Number(process.env["TEST_MISCHIEF"] ?? 30)

const Step = Schema.Struct({
  does: Schema.Literals([
    "deploys",
    "kills",
    "starts behind the log's back",
    "is lost by supervision",
    "is killed in the log alone",
    "loses its source",
  ]),
  name: Schema.Literals(["a", "b", "c"]),
})

/** What cannot be done in a situation is not done. */
const take = Effect.fnUntraced(function* ({ does, name }: typeof Step.Type) {
  const present = (yield* Registry).get(acme(name))
  const fact = factOf(yield* (yield* DesiredState).get, acme(name))
  switch (does) {
    case "deploys":
      return yield* Effect.ignore(deploy(name))
    case "kills":
      return yield* Effect.ignore(kill(name))
    case "starts behind the log's back":
      return present === undefined ? yield* smuggle(name) : undefined
    case "is lost by supervision":
      return present === undefined ? undefined : yield* lose(name)
    case "is killed in the log alone":
      if (fact?._tag !== "Deployed") return undefined
      yield* (yield* EventStore).emit(
        draft("service_killed", { revision: fact.revision, force: false }, acme(name)),
      )
      return undefined
    case "loses its source": {
      const sql = yield* SqlClient
      yield* sql`DELETE FROM artifacts WHERE source = ${`export default "${name}"`}`
      return undefined
    }
  }
})

it.live.prop(
  "whatever was done to it, a repaired kernel is what its log says, and repairing again changes nothing",
  [Schema.Array(Step).check(Schema.isMaxLength(12))],
  ([steps]) => {
    const filename = newDatabase()
    const repaired = Effect.gen(function* () {
      const verifier = yield* Verifier
      for (const step of steps) yield* take(step)
      const { failures, verification } = yield* verifier.autoFix({ full: true })
      assert.deepStrictEqual(failures, [])
      assert.deepStrictEqual(
        verification.inconsistencies.filter(({ fixable }) => fixable),
        [],
      )
      const before = yield* eventTypes
      const again = yield* verifier.autoFix({ full: true })
      assert.deepStrictEqual(again.fixes, [])
      assert.deepStrictEqual((yield* eventTypes).slice(before.length), ["verification_completed"])
      const expected = shouldRun(yield* (yield* DesiredState).get)
      for (const { name } of expected) assert.isTrue(yield* isRunning(name.serviceId))
      assert.strictEqual((yield* Registry).count(), expected.length)
      return expected.map(({ name }) => name.serviceId as string).sort()
    })
    return Effect.gen(function* () {
      const before = yield* run(filename)(repaired)
      const after = yield* run(filename)(
        Effect.map(
          Effect.flatMap(DesiredState, (desired) => desired.get),
          (state) => shouldRun(state).map(({ name }) => name.serviceId as string),
        ),
      )
      assert.deepStrictEqual(after.sort(), before)
    })
  },
  { arbitrary: { runs }, timeout: 60_000 + runs * 1000 },
)
