/**
 * Sequences of requests over storage that goes wrong at every single step in turn; a step is one
 * statement on the writing connection, those of the migrations and of recovery included. The
 * workload knows nothing of the checks, which cite the promises.
 *
 * The faults, and why each must be survivable:
 * - *before*: a statement fails and has done nothing. A full disk and a locked database look so.
 *   Nothing may have changed, and the next request must succeed (promise 1).
 * - *after*: a statement is carried out and reported as failed. A device that breaks while it
 *   answers looks so, at COMMIT above all: nothing may be half done (promises 1, 5).
 * - *power off before / after*: the files as they are between two statements, which is what
 *   `kill -9` leaves at any moment (promises 1, 2).
 * - *torn*: a COMMIT whose bytes reached the disk only up to some point. Its caller was never
 *   answered; it must have happened as a whole or not at all (promise 5).
 * - *garbled*: a COMMIT of which later bytes reached the disk and earlier ones did not: devices
 *   write in any order until they are told to sync (promise 5).
 * - *storm*: any number of steps fail, before or after, recovery from failures included. Whoever is
 *   refused cannot know what happened; whoever is answered must be right (promise 1).
 */
import { hash } from "node:crypto"
import { closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs"

import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

import { type Disk, dropDisk, makeDisk, takeImage, walBytes } from "../kernel/harness/Disk.ts"
import { type Faults, makeFaults, type Verdict } from "../kernel/harness/FaultyStorage.ts"
import { build, halt, type Kernel } from "../kernel/harness/Machine.ts"
import { assertKept, check, checkRegistry } from "./Checkers.ts"
import { answered, type Model, nothing, Request } from "./Model.ts"
import { holdsFor } from "./Shrunk.ts"
import { look } from "./Sight.ts"
import { ask } from "./Workload.ts"

const rounds = Number(process.env["TEST_STORMS"] ?? 60)
const seed = process.env["TEST_SEED"] ?? `${process.pid}-${process.hrtime.bigint()}`

const deployOf = (n: 1 | 2, service: "a" | "b" = "a"): Request => ({
  do: "deploy",
  tenant: "t1",
  service,
  n,
})
const killOf = (service: "a" | "b" = "a"): Request => ({ do: "kill", tenant: "t1", service })

const swapTo = (n: 1 | 2): Request => ({ do: "swap", tenant: "t1", service: "a", n })
const rollback: Request = { do: "rollback", tenant: "t1", service: "a" }

const writeTo = (
  writes: Readonly<Record<string, 1 | 2 | null>>,
  unless: "x" | "y" | "z" | null = null,
): Request => ({
  do: "write",
  tenant: "t1",
  service: "a",
  writes: Object.entries(writes).map(([key, value]) => ({ key: key as "x" | "y" | "z", value })),
  unless,
})
const clear: Request = { do: "clear", tenant: "t1", service: "a" }
const secretOf = (value: 1 | null): Request => ({ do: "secret", tenant: "t1", value })
const grant: Request = { do: "grant", tenant: "t1" }

/** Short sequences that meet every decision of the deployer, and every write of the others. */
const short: ReadonlyArray<ReadonlyArray<Request>> = [
  [deployOf(1), deployOf(1), deployOf(2)],
  [deployOf(1), killOf(), deployOf(2)],
  [deployOf(1), deployOf(1, "b"), killOf()],
  [deployOf(1), swapTo(2), rollback],
  [deployOf(1), swapTo(1), swapTo(2), killOf(), deployOf(1)],
  [writeTo({ x: 1, y: 1 }), writeTo({ x: null, y: 2, z: 1 }, "z"), clear],
  [grant, { do: "attenuate", token: 0 }, { do: "revoke", tenant: "t1", token: 0 }],
  [secretOf(1), secretOf(null)],
]

const start = Effect.fnUntraced(function* (disk: Disk, faults: Faults) {
  const [kernel, starting] = yield* build({ disk, open: faults.open })
  const started = yield* Effect.result(starting)
  if (Result.isSuccess(started)) return kernel
  yield* halt(kernel)
  return yield* started.failure
})

/** Where a sequence begins: its disk, and what is known of that. */
interface Origin {
  readonly disk: () => Disk
  readonly model: Model
  /** Whether the steps of the start itself are to go wrong as well. */
  readonly includesStart: boolean
}

const emptyDisks: Origin = { disk: makeDisk, model: nothing, includesStart: true }

/**
 * Disks on which a kernel ran once. Migrations and starts need not go wrong in every sequence: the
 * first one begins on an empty disk, the second on one that was used.
 */
const usedDisks = Effect.fnUntraced(function* (includesStart: boolean) {
  const disk = makeDisk()
  yield* halt(yield* start(disk, makeFaults()))
  const model = { ...nothing, cleanEnds: 1 }
  const origin: Origin = { disk: () => takeImage(disk), model, includesStart }
  return origin
})

const abandon = (kernel: Kernel) => Effect.andThen(halt(kernel), discard(kernel.disk))
const discard = (disk: Disk) => Effect.sync(() => dropDisk(disk))

/** Starts what is left without faults, and checks it. */
const verify = Effect.fnUntraced(function* (disk: Disk, model: Model, what: string) {
  const [kernel, starting] = yield* build({ disk })
  yield* starting
  const sight = yield* look(kernel, model.tokens)
  assertKept(check(kernel, model, sight), what)
  yield* abandon(kernel)
})

/** Which steps of a sequence are to go wrong, as they are when nothing fails. */
const countSteps = Effect.fnUntraced(function* (origin: Origin, requests: ReadonlyArray<Request>) {
  const faults = makeFaults()
  const commits: Array<number> = []
  faults.decide({ after: (step, sql) => void (sql === "COMMIT" && commits.push(step)) })
  const kernel = yield* start(origin.disk(), faults)
  const first = origin.includesStart ? 1 : faults.steps() + 1
  let model = origin.model
  for (const request of requests) {
    model = answered(model, request, yield* ask(kernel, request, model))
  }
  const steps = faults.steps()
  yield* abandon(kernel)
  return { first, steps, commits: commits.filter((step) => step >= first && step <= steps) }
})

/** One step fails; what is refused has not happened, and everything else succeeds. */
const failAt = Effect.fnUntraced(function* (
  origin: Origin,
  requests: ReadonlyArray<Request>,
  at: number,
  verdict: Verdict,
) {
  const what = `${verdict} step ${at}`
  const faults = makeFaults()
  let failed = ""
  faults.decide({
    before: (step, sql) => {
      if (step !== at) return "well"
      failed = sql
      return verdict
    },
  })
  const disk = origin.disk()
  const first = yield* Effect.result(start(disk, faults))
  // A start that failed leaves a disk that the next one can use.
  const kernel = Result.isSuccess(first) ? first.success : yield* start(disk, faults)
  let model = origin.model
  let refused = Result.isSuccess(first) ? 0 : 1
  for (const request of requests) {
    const answer = yield* ask(kernel, request, model)
    if (answer._tag === "Refused") refused += 1
    model = answered(model, request, answer)
  }
  assert.isAtMost(refused, 1, `one failure costs one request: ${what}, ${failed}`)
  assertKept(checkRegistry(kernel), `${what}, ${failed}`)
  const image = takeImage(disk)
  yield* abandon(kernel)
  yield* verify(image, model, `${what}, ${failed}`)
})

/** What is left of a disk when the power goes off, and what is known then. */
interface Ruin {
  readonly what: string
  readonly image: Disk
  readonly model: Model
}

/**
 * Every ruin that a sequence can become: the power goes off after each of its steps, and each of its
 * commits is torn or garbled. The sequence itself goes on, and sees nothing of it. Most steps only
 * read, so that many ruins are the same.
 */
const ruinsOf = Effect.fnUntraced(function* (origin: Origin, requests: ReadonlyArray<Request>) {
  const { commits, first, steps } = yield* countSteps(origin, requests)
  const faults = makeFaults()
  const disk = origin.disk()
  const ruins = new Map<string, Ruin>()
  let model = origin.model
  let known = model
  const keep = (what: string, image: Disk): void => {
    const key = `${contentsOf(image)} ${model.acknowledged.length} ${known === model}`
    if (ruins.has(key)) dropDisk(image)
    else ruins.set(key, { what, image, model: known })
  }
  let before = 0
  faults.decide({
    before: () => {
      before = walBytes(disk)
      return "well"
    },
    after: (step) => {
      if (step < first || step > steps) return
      keep(`power off after step ${step}`, takeImage(disk))
      if (commits.includes(step)) for (const torn of tornAt(disk, before, step)) keep(...torn)
    },
  })
  const kernel = yield* start(disk, faults)
  for (const request of requests) {
    // Whoever asks while the power goes off gets no answer.
    known = answered(model, request, { _tag: "Unknown" })
    model = answered(model, request, yield* ask(kernel, request, model))
    known = model
  }
  yield* abandon(kernel)
  assert.isAbove(ruins.size, commits.length, "every commit leaves something of its own")
  return ruins.values()
})

const zero = (path: string, from: number, to: number) => {
  const file = openSync(path, "r+")
  writeSync(file, new Uint8Array(to - from), 0, to - from, from)
  closeSync(file)
}

/** Images at the COMMIT of `step` of which only part reached the disk; `before` was there already. */
function* tornAt(disk: Disk, before: number, step: number): Generator<[what: string, image: Disk]> {
  const end = walBytes(disk)
  for (const part of [0, 0.3, 0.99]) {
    const kept = before + Math.floor((end - before) * part)
    yield [`torn at ${part} of ${step}`, takeImage(disk, kept)]
    const garbled = takeImage(disk)
    if (end > before) zero(garbled.wal, kept, Math.min(kept + 512, end))
    yield [`garbled at ${part} of ${step}`, garbled]
  }
}

const contentsOf = ({ database, wal }: Disk): string =>
  [database, wal]
    .map((path) => (existsSync(path) ? hash("sha1", readFileSync(path)) : "nothing"))
    .join(" ")

const storm = Schema.Struct({
  requests: Schema.Array(Request).check(Schema.isMinLength(2), Schema.isMaxLength(16)),
  /** The verdict on each step, over and over; more go well than not. */
  verdicts: Schema.Array(
    Schema.Literals(["well", "well", "well", "before", "well", "well", "well", "after"]),
  ).check(Schema.isMinLength(3), Schema.isMaxLength(40)),
})

/** Steps fail as they like; whoever is refused knows nothing, whoever is answered is right. */
const weather = Effect.fnUntraced(function* ({ requests, verdicts }: typeof storm.Type) {
  const faults = makeFaults()
  const disk = makeDisk()
  const kernel = yield* start(disk, faults)
  faults.decide({ before: (step) => verdicts[step % verdicts.length]! })
  let model = nothing
  const calm = Math.ceil(requests.length / 2)
  for (const [index, request] of requests.entries()) {
    if (index === calm) faults.stop()
    const answer = yield* ask(kernel, request, model)
    const known = answer._tag === "Refused" && index < calm ? { _tag: "Unknown" as const } : answer
    assert.isTrue(index < calm || answer._tag !== "Refused", "the store works again afterwards")
    model = answered(model, request, known)
  }
  assertKept(checkRegistry(kernel), "in the storm")
  const image = takeImage(disk)
  yield* abandon(kernel)
  yield* verify(image, model, "after the storm")
})

const nameOf = (request: Request): string =>
  "service" in request ? `${request.do} ${request.service}` : request.do

describe("simulation", () => {
  for (const [index, requests] of short.entries()) {
    const name = requests.map(nameOf).join(", ")
    const begin = index === 0 ? Effect.succeed(emptyDisks) : usedDisks(index === 1)

    it.effect(
      `${index + 1}: every step fails once: ${name}`,
      () =>
        Effect.gen(function* () {
          const origin = yield* begin
          const { first, steps } = yield* countSteps(origin, requests)
          for (let at = first; at <= steps; at++) {
            yield* failAt(origin, requests, at, "before")
            yield* failAt(origin, requests, at, "after")
          }
        }),
      { timeout: 120_000 },
    )

    it.effect(
      `${index + 1}: the power goes off at every step, every commit is torn: ${name}`,
      () =>
        Effect.gen(function* () {
          for (const { image, model, what } of yield* ruinsOf(yield* begin, requests))
            yield* verify(image, model, what)
        }),
      { timeout: 120_000 },
    )
  }

  it.effect(
    `${rounds} storms (seed ${seed})`,
    () => holdsFor(Arbitrary.schema(storm), weather, { runs: rounds, seed, size: 40 }),
    { timeout: 60_000 + rounds * 500 },
  )
})
