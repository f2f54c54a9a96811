/**
 * Random sequences of commands over several tenants, against the model: whatever was asked for, of
 * services, stores, secrets and tokens, whenever the plug was pulled, after every start the kernel
 * is what was acknowledged (promises 1, 2, 3, 5, 6, 9, 10). `TEST_SEQUENCES` says how many
 * sequences, `TEST_SEED` which; a failure prints its seed and the smallest sequence that fails.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"

import { type Disk, dropDisk, takeImage } from "../kernel/harness/Disk.ts"
import { build, halt, type Kernel, named, settle } from "../kernel/harness/Machine.ts"
import { assertKept, check, checkRegistry } from "./Checkers.ts"
import { type Answer, answered, Command, type Model, nothing, seen } from "./Model.ts"
import { holdsFor } from "./Shrunk.ts"
import { look } from "./Sight.ts"
import { ask } from "./Workload.ts"

const runs = Number(process.env["TEST_SEQUENCES"] ?? 100)
const seed = process.env["TEST_SEED"] ?? `${process.pid}-${process.hrtime.bigint()}`

/** Commands of a sequence at most. */
const maxCommands = 18

const sequences = Arbitrary.schema(
  Schema.Array(Command).check(Schema.isMinLength(1), Schema.isMaxLength(maxCommands)),
)

interface Run {
  readonly kernel: Kernel
  readonly model: Model
}

/** Starts what `disk` holds, and checks it. */
const startOn = Effect.fnUntraced(function* (disk: Disk | undefined, model: Model) {
  const [kernel, start] = yield* build(disk === undefined ? {} : { disk })
  yield* start
  const sight = yield* look(kernel, model.tokens)
  assertKept(check(kernel, model, sight), "after a start")
  return { kernel, model: seen(model, sight) } satisfies Run
})

const abandon = (kernel: Kernel) =>
  Effect.andThen(
    halt(kernel),
    Effect.sync(() => dropDisk(kernel.disk)),
  )

const crash = Effect.fnUntraced(function* ({ kernel }: Run, model: Model, image: Disk) {
  yield* abandon(kernel)
  return yield* startOn(image, model)
})

const carryOut = Effect.fnUntraced(function* (run: Run, command: Command) {
  const { kernel, model } = run
  switch (command.do) {
    case "crash":
      kernel.world.crash(named(command.tenant, command.service))
      yield* settle
      return run
    case "replay":
      yield* kernel.replayer.replayDeployments
      return run
    case "restart": {
      yield* halt(kernel)
      assert.deepStrictEqual(kernel.lifecycle.problems(), [])
      const ended = { ...model, cleanEnds: model.cleanEnds + 1 }
      return yield* startOn(kernel.disk, ended)
    }
    case "pull the plug":
      return yield* crash(run, model, takeImage(kernel.disk))
    case "pull the plug during": {
      const asking = yield* Effect.forkChild(ask(kernel, command.request, model))
      yield* Effect.repeat(Effect.yieldNow, { times: command.turns })
      const image = takeImage(kernel.disk)
      const exit = asking.pollUnsafe()
      const answer: Answer = exit?._tag === "Success" ? exit.value : { _tag: "Unknown" }
      yield* Fiber.await(asking)
      return yield* crash(run, answered(model, command.request, answer), image)
    }
    default:
      return { kernel, model: answered(model, command, yield* ask(kernel, command, model)) }
  }
})

const leavesWhatWasAcknowledged = Effect.fnUntraced(function* (commands: ReadonlyArray<Command>) {
  let run = yield* startOn(undefined, nothing)
  for (const command of commands) run = yield* carryOut(run, command)
  // The last word is always a crash: whatever was still only in memory shows now.
  const last = yield* crash(run, run.model, takeImage(run.kernel.disk))
  assertKept(checkRegistry(last.kernel), "at the end")
  yield* abandon(last.kernel)
}, Effect.scoped)

describe("recovery", () => {
  it.effect(
    `${runs} sequences of commands leave what was acknowledged (seed ${seed})`,
    () => holdsFor(sequences, leavesWhatWasAcknowledged, { runs, seed, size: maxCommands }),
    { timeout: 60_000 + runs * 500 },
  )
})
