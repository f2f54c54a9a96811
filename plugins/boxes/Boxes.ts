/**
 * The driver: finds out which walls stand, keeps a pool of empty boxes, and starts services in
 * them.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Runtime, StartFailed, type Wall } from "solo"

import { bootstrapText, bundle } from "../realm/Assets.ts"
import { Box } from "./Box.ts"
import type { BoxSettings } from "./BoxSettings.ts"
import { findTools, type Level } from "./Enclosure.ts"
import { innermost, statusBytes } from "./Figures.ts"
import type { Boot } from "./inside/BoxRunner.ts"
import { makePool } from "./Pool.ts"
import { startInBox } from "./ServiceBox.ts"
import { demands, findWalls, type Findings } from "./Walls.ts"
import { startWarden } from "./Warden.ts"
import { makeWatch, type Watch } from "./Watch.ts"
import { Control, encodePair } from "./Wire.ts"

/** The heap that warm boxes have: what a service gets that does not ask for another. */
const usualHeapMb = 64
/** How long Node and the realm may take to come up, in milliseconds. */
const bootTimeoutMs = 20_000
/** Memory for code, stacks and the like, beyond what an empty box has, in bytes. */
const slackBytes = 48 * 1024 * 1024
const mib = 1024 * 1024

/** Less stands around services than the operator demands. */
class SandboxTooWeak extends Schema.TaggedError<SandboxTooWeak>()("SandboxTooWeak", {
  message: Schema.String,
}) {}

const levels: ReadonlyArray<Level> = ["bubblewrap", "sealed", "none"]

const inspect = Effect.fnUntraced(function* ({ sandbox }: BoxSettings) {
  const probe = bundle("boxes/Probe.cjs")
  const findings = yield* Effect.acquireRelease(
    Effect.promise(() =>
      findWalls(levels.slice(levels.indexOf(sandbox.strongest)), findTools(), probe),
    ),
    ({ enclosure }) => Effect.sync(() => enclosure.close()),
  )
  for (const { detail, name, stands } of findings.walls)
    yield* Effect.logInfo(`wall ${name}: ${stands ? "stands" : "DOES NOT STAND"}: ${detail}`)
  if (demands.indexOf(findings.meets) < demands.indexOf(sandbox.require))
    return yield* new SandboxTooWeak({
      message: `sandbox.require demands ${sandbox.require}, but on this machine only ${findings.meets} stands: ${missing(findings.walls)}`,
    })
  if (findings.meets === "none")
    yield* Effect.logWarning(
      "services are separated by Node's permission system and a realm alone: install bubblewrap before you run services you do not trust",
    )
  return findings
})

const missing = (walls: ReadonlyArray<Wall>): string =>
  walls
    .filter(({ name, stands }) => !stands && name !== "user")
    .map(({ detail, name }) => `${name}: ${detail}`)
    .join("; ")

/** Starts boxes and waits for them. */
const makeStarter = (findings: Findings, settings: BoxSettings, watch: Watch) => {
  const runner = bundle("boxes/BoxRunner.cjs")
  const bootstrap = Buffer.from(bootstrapText(), "latin1")
  const { enclosure } = findings
  const waiting = new WeakMap<Box, Deferred.Deferred<void, StartFailed>>()
  let baseBytes = 0
  const cache: Array<Uint8Array> = []

  const spawn = (heapMb: number, { isFirst = false, isGreedy = false } = {}): Box => {
    const memoryMb = heapMb + settings.outsideHeapMb
    const dataBytes = baseBytes === 0 ? 0 : baseBytes + slackBytes + memoryMb * mib
    const command = enclosure.runner(runner, heapMb, dataBytes)
    const ready = Deferred.makeUnsafe<void, StartFailed>()
    const box = new Box(
      command,
      { heapMb, memoryMb },
      {
        booted: () => Deferred.doneUnsafe(ready, Effect.void),
        ...(isFirst ? { cache: (piece: Uint8Array) => cache.push(piece) } : {}),
      },
    )
    waiting.set(box, ready)
    if (isGreedy) watch.putLast(box)
    const boot: Boot = {
      bootstrapBytes: bootstrap.length,
      makesCache: isFirst,
      randomModule: "node:crypto",
      dataBytes,
      leashed: enclosure.level === "bubblewrap",
      walls: enclosure.level !== "none",
    }
    box.send(encodePair(Control.boot, JSON.stringify(boot), Buffer.concat([bootstrap, ...cache])))
    return box
  }

  const booted = (box: Box): Effect.Effect<void, StartFailed> =>
    Effect.raceFirst(
      Deferred.await(waiting.get(box)!),
      Effect.flatMap(Deferred.await(box.gone), ({ reason }) =>
        Effect.fail(new StartFailed({ message: reason })),
      ),
    ).pipe(
      Effect.timeoutOrElse({
        duration: bootTimeoutMs,
        orElse: () =>
          Effect.fail(new StartFailed({ message: `no box came up within ${bootTimeoutMs} ms` })),
      }),
    )

  const boot = (heapMb: number, isFirst = false) =>
    Effect.flatMap(
      Effect.sync(() => spawn(heapMb, { isFirst })),
      (box) =>
        Effect.as(booted(box), box).pipe(
          Effect.onError(() => Effect.sync(() => box.end({ reason: "it did not come up" }))),
        ),
    )

  /**
   * Boots a first box for what all others need to know: the memory an empty one has, which limits
   * are counted from, and V8's code cache.
   */
  const measure = Effect.gen(function* () {
    const box = yield* boot(usualHeapMb, true)
    baseBytes = statusBytes(innermost(box.pid!), "VmData") ?? 0
    box.end({ reason: "it was measured" })
  })

  return { spawn, boot, booted, measure }
}

/** The driver of boxes, for as long as the scope lives. */
export const makeBoxes = Effect.fnUntraced(function* (settings: BoxSettings) {
  const findings = yield* inspect(settings)
  yield* startWarden(findings.enclosure.mark)
  const watch = yield* makeWatch(settings)
  const starter = makeStarter(findings, settings, watch)
  yield* starter.measure
  const pool = yield* makePool(settings.pool, starter.boot(usualHeapMb))
  const surroundings = {
    take: (heapMb: number, isGreedy: boolean) =>
      Effect.map(
        heapMb === usualHeapMb && !isGreedy ? pool.take : Effect.void,
        (warm) => warm ?? starter.spawn(heapMb, { isGreedy }),
      ),
    booted: starter.booted,
    watch,
    responseMb: settings.responseMb,
  }
  const standing = findings.walls.filter(({ stands }) => stands).map(({ name }) => name)
  return Runtime.of({
    driver: "boxes",
    isolation: `a process of its own for every service, behind ${standing.join(", ")}`,
    walls: findings.walls,
    start: (program) => startInBox(surroundings, program),
  })
}) satisfies (settings: BoxSettings) => Effect.Effect<Runtime["Service"], unknown, Scope.Scope>
