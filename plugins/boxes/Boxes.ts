/**
 * The driver: finds out which walls stand, keeps a pool of empty boxes, and starts services in
 * them.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Runtime, type Wall } from "solo"

import { bootstrapText, bundle } from "../realm/Assets.ts"
import type { Box } from "./Box.ts"
import type { BoxSettings } from "./BoxSettings.ts"
import { findTools, type Level } from "./Enclosure.ts"
import { Handout } from "./Handout.ts"
import { makePool } from "./Pool.ts"
import { startInBox } from "./ServiceBox.ts"
import { makeSpawner } from "./Spawner.ts"
import { Starter, usualHeapMb } from "./Starter.ts"
import { demands, findWalls } from "./Walls.ts"
import { makeWatch } from "./Watch.ts"

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

/** The driver of boxes, for as long as the scope lives. */
export const makeBoxes = Effect.fnUntraced(function* (settings: BoxSettings) {
  const findings = yield* inspect(settings)
  const { enclosure } = findings
  const watch = yield* makeWatch(settings)
  const handout = yield* Effect.acquireRelease(
    Effect.sync(() => new Handout(Buffer.from(bootstrapText(), "latin1"))),
    (file) => Effect.sync(() => file.close()),
  )
  const spawner = yield* makeSpawner([...enclosure.files, handout.descriptor])
  const { outsideHeapMb } = settings
  const starter = new Starter({ enclosure, spawner, handout, outsideHeapMb })
  yield* starter.measure
  const pool = yield* makePool(settings.pool, starter.boot(usualHeapMb))
  const surroundings = {
    take: (heapMb: number, isGreedy: boolean) =>
      Effect.map(
        heapMb === usualHeapMb && !isGreedy ? pool.take : Effect.void,
        (warm) => warm ?? starter.spawn(heapMb, { isGreedy }),
      ),
    booted: (box: Box) => starter.booted(box),
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
