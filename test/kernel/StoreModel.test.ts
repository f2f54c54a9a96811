/**
 * Any sequence of batches and removals on stores of two tenants, through storage that fails at any
 * step and plugs that are pulled at any moment: what is there is what maps would hold (promises 1
 * and 6). `TEST_SEQUENCES` says how many sequences, `TEST_SEED` which.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"

import { KeyValueStore } from "../../src/kernel/store/KeyValueStore.ts"
import { type Disk, dropDisk, makeDisk, takeImage } from "./harness/Disk.ts"
import { type Faults, makeFaults } from "./harness/FaultyStorage.ts"
import { callerOf, named } from "./harness/Machine.ts"
import { jsonValue, layerStores, plainOf } from "./Stores.ts"

const sequences = Number(process.env["TEST_BATCHES"] ?? 100)
const seed = process.env["TEST_SEED"] ?? `${process.pid}-${process.hrtime.bigint()}`

const names = [named("acme", "a"), named("acme", "b"), named("globex", "a")]

/** Keys that sort by bytes otherwise than by UTF-16, that contain each other, that hold NUL. */
const keys = ["a", "a\0", "aé", "a\u{ffff}", "a😀", "\u{feff}"]

const index = (length: number) =>
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: length - 1 }))

const WriteStep = Schema.Struct({
  do: Schema.Literal("write"),
  store: index(names.length),
  writes: Schema.Array(
    Schema.Struct({ key: index(keys.length), value: Schema.NullOr(index(1000)) }),
  ).check(Schema.isMinLength(1), Schema.isMaxLength(4)),
  /** Of this key, that it is as the model has it, or another version. */
  condition: Schema.NullOr(Schema.Struct({ key: index(keys.length), holds: Schema.Boolean })),
  /** The statement of it that fails, counted from 1, and whether it is carried out all the same. */
  fault: Schema.NullOr(Schema.Struct({ step: index(12), after: Schema.Boolean })),
  /** Whether the plug is pulled at that statement instead: the image is what goes on. */
  isPlug: Schema.Boolean,
})

const Step = Schema.Union([
  WriteStep,
  WriteStep,
  WriteStep,
  Schema.Struct({ do: Schema.Literal("clear"), store: index(names.length) }),
  Schema.Struct({ do: Schema.Literal("reopen") }),
])
type Step = typeof Step.Type

interface Held {
  readonly value: number
  readonly version: number
}

const lives = Arbitrary.schema(
  Schema.Array(Step).check(Schema.isMinLength(1), Schema.isMaxLength(16)),
)

/** What a store holds, and the highest version it is known to have given. */
interface Model {
  readonly entries: ReadonlyMap<string, Held>
  readonly version: number
  /** How many more it may have given: to batches that changed nothing before a plug was pulled. */
  readonly doubts: number
  readonly exists: boolean
}

const nothing: Model = { entries: new Map(), version: 0, doubts: 0, exists: false }

interface Run {
  readonly disk: Disk
  readonly faults: Faults
  readonly scope: Scope.Closeable
  readonly stores: KeyValueStore["Service"]
  readonly models: Array<Model>
}

const open = Effect.fnUntraced(function* (disk: Disk, models: Array<Model>) {
  const faults = makeFaults()
  const scope = yield* Scope.make()
  const layer = layerStores({
    filename: disk.database,
    open: faults.open,
    settings: { storeMaxKeys: 4 },
  }).pipe(Layer.provideMerge(Logger.layer([])))
  const context = yield* Layer.buildWithScope(layer, scope)
  return { disk, faults, scope, models, stores: Context.get(context, KeyValueStore) } satisfies Run
})

const close = ({ scope }: Run) => Scope.close(scope, Exit.void)

const read = Effect.fnUntraced(function* ({ stores }: Run, store: number) {
  const entries: Array<readonly [string, Held]> = []
  let after: string | null = null
  for (let more = true; more;) {
    const page: Effect.Success<ReturnType<typeof stores.list>> = yield* stores.list(names[store]!, {
      prefix: "",
      after,
      limit: 2,
    })
    for (const { key, value, version } of page.entries) {
      entries.push([key, { value: plainOf(value) as number, version }])
      after = key
    }
    more = page.hasMore
  }
  return entries
})

const byBytes = ([left]: readonly [string, Held], [right]: readonly [string, Held]) =>
  Buffer.compare(Buffer.from(left), Buffer.from(right))

const bytesOf = ({ entries }: Model) =>
  [...entries].reduce(
    (sum, [key, { value }]) => sum + Buffer.byteLength(key) + JSON.stringify(value).length + 32,
    0,
  )

/** Whether a store is what `model` says. */
const fits = Effect.fnUntraced(function* (run: Run, store: number, model: Model) {
  const entries = yield* read(run, store)
  const { keys: count, bytes } = yield* run.stores.figures(names[store]!)
  const expected = [...model.entries].sort(byBytes)
  return (
    JSON.stringify([entries, count, bytes]) ===
    JSON.stringify([expected, expected.length, bytesOf(model)])
  )
})

const check = Effect.fnUntraced(function* (run: Run) {
  for (const [store, model] of run.models.entries()) {
    const is = yield* read(run, store)
    const should = JSON.stringify([...model.entries])
    assert.isTrue(yield* fits(run, store, model), `${store}: ${JSON.stringify(is)} not ${should}`)
  }
})

/** What a store holds when a batch was carried out. */
const written = (model: Model, step: typeof WriteStep.Type): Model => {
  const version = model.version + 1
  const entries = new Map(model.entries)
  for (const { key, value } of step.writes) {
    if (value === null) entries.delete(keys[key]!)
    else entries.set(keys[key]!, { value, version })
  }
  return { entries, version, doubts: 0, exists: true }
}

const conditionOf = (model: Model, { condition }: typeof WriteStep.Type) => {
  if (condition === null) return []
  const key = keys[condition.key]!
  const version = model.entries.get(key)?.version ?? null
  return [{ key, version: condition.holds ? version : (version ?? 0) + 7 }]
}

const write = Effect.fnUntraced(function* (run: Run, step: typeof WriteStep.Type) {
  const { disk, faults, models, stores } = run
  const before = models[step.store]!
  const after = written(before, step)
  const from = faults.steps()
  let image: Disk | undefined
  const { fault } = step
  if (fault !== null)
    faults.decide({
      before: (at) => {
        if (at !== from + 1 + fault.step) return "well"
        if (step.isPlug) image = takeImage(disk)
        return step.isPlug ? "well" : fault.after ? "after" : "before"
      },
    })
  const result = yield* Effect.result(
    stores.write(names[step.store]!, {
      writes: step.writes.map(({ key, value }) => ({
        key: keys[key]!,
        value: value === null ? null : jsonValue(value),
      })),
      conditions: conditionOf(before, step),
    }),
  )
  faults.stop()
  const grows = after.entries.size > before.entries.size
  if (result._tag === "Success") {
    assert.isTrue(step.condition?.holds ?? true, "a condition that does not hold refuses")
    assert.isFalse(grows && after.entries.size > 4, "the quota holds")
    assert.isAtLeast(result.success, after.version, "versions only grow")
    assert.isAtMost(result.success, after.version + before.doubts)
    models[step.store] = written({ ...before, version: result.success - 1 }, step)
  } else if (result.failure._tag === "StoreConflict") assert.isFalse(step.condition?.holds ?? true)
  else if (result.failure._tag === "StoreQuotaExceeded") assert.isTrue(grows)
  else assert.strictEqual(result.failure._tag, "StorageError")
  if (image === undefined) return run
  // The plug was pulled before an answer: the batch is there or not, and never half.
  yield* close(run)
  dropDisk(disk)
  const next = yield* open(image, models)
  const happened = models[step.store]!
  models[step.store] = (yield* fits(next, step.store, before))
    ? { ...before, doubts: before.doubts + 1 }
    : happened
  return next
})

const carryOut = Effect.fnUntraced(function* (run: Run, step: Step) {
  if (step.do === "write") return yield* write(run, step)
  if (step.do === "reopen") {
    yield* close(run)
    return yield* open(run.disk, run.models)
  }
  const name = names[step.store]!
  const cleared = yield* Effect.result(run.stores.clear(callerOf(name.tenantId), name))
  const model = run.models[step.store]!
  if (cleared._tag === "Success") run.models[step.store] = { ...model, entries: new Map() }
  else assert.isFalse(model.exists)
  return run
})

describe("stores", () => {
  it.effect(
    `are what maps would be, in ${sequences} sequences (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const property = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>) {
          let run: Run = yield* open(
            makeDisk(),
            names.map(() => nothing),
          )
          for (const step of steps) {
            run = yield* carryOut(run, step)
            yield* check(run)
          }
          yield* close(run)
          dropDisk(run.disk)
          return true
        })
        const result = yield* Arbitrary.checkEffect(lives, property, {
          runs: sequences,
          seed,
          size: 16,
        })
        assert.isUndefined(Arbitrary.formatCheckFailure(result))
      }),
    { timeout: 60_000 + sequences * 500 },
  )
})
