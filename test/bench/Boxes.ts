/**
 * Services in boxes beside a bare `node -e` in the same kind of box: starting a hundred, their
 * memory, from deployment to the first answer with and without warm boxes, and a round trip.
 */
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"

import * as Effect from "effect/Effect"
import { type Instance, Runtime } from "solo"

import { spawnCommand } from "../../plugins/boxes/Command.ts"
import { Enclosure, findTools, type Level, nodeFlags } from "../../plugins/boxes/Enclosure.ts"
import { childrenOf, innermost, statusBytes } from "../../plugins/boxes/Figures.ts"
import { layer } from "../../plugins/boxes/index.ts"
import { ask, fetching, programOf } from "../contract/RuntimeClient.ts"
import { type Measurement, median, timed } from "./Measurement.ts"

/** How many services to start at once. A thousand take 20 GB of memory. */
const services = Number(process.env["BENCH_SERVICES"] ?? 100)
const repeats = 15
/** How often that many are started. */
const rounds = 5
const roundTrips = 2000
/** Boxes started at the same time, bare ones and services alike. */
const concurrency = 4

const echo = "process.stdin.on('data', (d) => process.stdout.write(d)); process.stdout.write('.')"
const hello = fetching("return new Response('hello')")

const startBare = async (
  enclosure: Enclosure,
  flags: ReadonlyArray<string> = ["--permission", "--no-warnings"],
): Promise<ChildProcess> => {
  const child = spawnCommand(enclosure.command([...flags, "-e", echo], 0))
  // Printed is nothing, but a full pipe would hold it up.
  child.stderr.resume()
  await once(child.stdout!, "data")
  return child
}

const end = async (child: ChildProcess) => {
  child.kill("SIGKILL")
  await once(child, "close")
}

const memoryOf = (pid: number): number => statusBytes(innermost(pid), "RssAnon") ?? 0

/** Private memory of the boxes of this process, which another process starts, in bytes. */
const privateMemory = (): number =>
  median(childrenOf(process.pid).flatMap(childrenOf).map(memoryOf))

/** Many boxes started at once: how long that took, and what one of them is like then. */
interface Crowd {
  readonly took: number
  readonly memory: number
  readonly roundTrip: number
}

const bareRoundTrip = async ({ stdin, stdout }: ChildProcess) => {
  const sample: Array<number> = []
  for (let n = 0; n < roundTrips; n++)
    sample.push(
      await timed(async () => {
        stdin!.write("x".repeat(64))
        await once(stdout!, "data")
      }),
    )
  return median(sample)
}

const startOneBare = async (enclosure: Enclosure, flags?: ReadonlyArray<string>) => {
  const sample: Array<number> = []
  for (let n = 0; n < repeats; n++) {
    let child: ChildProcess | undefined
    sample.push(await timed(async () => (child = await startBare(enclosure, flags))))
    await end(child!)
  }
  return median(sample)
}

const startAllBare = async (enclosure: Enclosure): Promise<Crowd> => {
  const children: Array<ChildProcess> = []
  const took = await timed(() =>
    Promise.all(
      Array.from({ length: concurrency }, async () => {
        while (children.length < services) {
          const at = children.push(undefined as never) - 1
          children[at] = await startBare(enclosure)
        }
      }),
    ),
  )
  const memory = median(children.map(({ pid }) => memoryOf(pid!)))
  const roundTrip = await bareRoundTrip(children[0]!)
  await Promise.all(children.map(end))
  return { took, memory, roundTrip }
}

const program = () => {
  const { limits, ...rest } = programOf(hello)
  return { ...rest, limits: { ...limits, heapMb: 64 } }
}

const clock = Effect.sync(() => performance.now())

const startOne = Effect.gen(function* () {
  const begin = yield* clock
  const instance = yield* (yield* Runtime).start(program())
  yield* ask(instance)
  return { instance, took: (yield* clock) - begin }
})

/** From the program to its first answer, with pauses in which a pool may refill. */
const firstAnswer = (pauseMs: number) =>
  Effect.gen(function* () {
    const sample: Array<number> = []
    for (let n = 0; n < repeats; n++) {
      yield* Effect.sleep(pauseMs)
      const { took } = yield* Effect.scoped(startOne)
      sample.push(took)
    }
    return median(sample)
  })

const requests = (instance: Instance) =>
  Effect.gen(function* () {
    const sample: Array<number> = []
    for (let n = 0; n < roundTrips; n++) {
      const begin = yield* clock
      yield* ask(instance)
      sample.push((yield* clock) - begin)
    }
    return median(sample)
  })

const startAll = Effect.gen(function* () {
  const begin = yield* clock
  const started = yield* Effect.all(
    Array.from({ length: services }, () => startOne),
    { concurrency },
  )
  const took = (yield* clock) - begin
  const roundTrip = yield* requests(started[0]!.instance)
  return { took, roundTrip, memory: privateMemory() } satisfies Crowd as Crowd
})

/** Bare boxes and services in turns, since machines have fast and slow minutes: the medians. */
const measureCrowds = async (bare: () => Promise<Crowd>, all: () => Promise<Crowd>) => {
  const found = [new Array<Crowd>(), new Array<Crowd>()] as const
  for (let round = 0; round < rounds; round++) {
    found[0].push(await bare())
    found[1].push(await all())
  }
  return found.map((crowds) => ({
    took: median(crowds.map(({ took }) => took)),
    memory: median(crowds.map(({ memory }) => memory)),
    roundTrip: median(crowds.map(({ roundTrip }) => roundTrip)),
  })) as [Crowd, Crowd]
}

/** Runs the benchmark. */
export const benchBoxes = async (): Promise<ReadonlyArray<Measurement>> => {
  const run = <A>(effect: Effect.Effect<A, unknown, Runtime>, pool: number) =>
    Effect.runPromise(effect.pipe(Effect.provide(layer({ pool }))) as Effect.Effect<A>)
  const level: Level = findTools().bwrap === undefined ? "sealed" : "bubblewrap"
  const enclosure = new Enclosure(level, findTools(), true)
  const start = await startOneBare(enclosure)
  const startFlagged = await startOneBare(enclosure, nodeFlags(64))
  const cold = await run(firstAnswer(0), 0)
  const warm = await run(firstAnswer(300), 4)
  const [bare, all] = await measureCrowds(
    () => startAllBare(enclosure),
    () => run(Effect.scoped(startAll), 0),
  )
  enclosure.close()
  const baselineName = `bare node -e in the same box (${level})`
  const row = (name: string, unit: string, figure: number, baseline: number): Measurement => ({
    name,
    unit,
    figure,
    baseline,
    baselineName,
  })
  return [
    row(`start and first answer of ${services} services`, "ms", all.took, bare.took),
    row("deploy to first answer, cold", "ms", cold, start),
    {
      ...row("deploy to first answer, cold", "ms", cold, startFlagged),
      baselineName: "the same with a service's flags",
    },
    row("deploy to first answer, from the pool", "ms", warm, start),
    row("private memory of a service", "MiB", all.memory / 2 ** 20, bare.memory / 2 ** 20),
    row("request round trip, median", "ms", all.roundTrip, bare.roundTrip),
  ]
}
