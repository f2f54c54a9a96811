/**
 * Rounds of starting a real kernel, working with it, and pulling its plug, always on the same data
 * directory; after every end the database is read, and every kernel that comes up is examined.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { type Audit, makeAudit } from "./Audit.ts"
import type { Concern } from "./Concern.ts"
import { concerns as makers } from "./Concerns.ts"
import { copyDirectory, takeImage } from "./CrashImage.ts"
import { type Figures, makeFigures } from "./Figures.ts"
import { makePlan, type Plan } from "./Plan.ts"
import { makeRandom, type Random } from "./Random.ts"
import { endEarly, type Run, type Setting, sleep, start, work } from "./Run.ts"

/** Clients that work at the same time. */
const clients = 4

/** Rounds on one data directory; then a new one begins, so that no round grows too long. */
const eraRounds = 50

/** What to do. */
export interface CampaignOptions {
  readonly rounds: number
  readonly seed: number
  readonly env?: Readonly<Record<string, string>>
  /** Called after every round. */
  readonly onRound?: (figures: Figures) => void
}

interface Era extends Setting {
  readonly root: string
  readonly concerns: ReadonlyArray<Concern>
  readonly audit: Audit
}

const begin = (figures: Figures, env: Readonly<Record<string, string>>): Era => {
  const root = mkdtempSync(join(tmpdir(), "solo-campaign-"))
  return {
    root,
    dataDir: join(root, "data"),
    env,
    figures,
    concerns: makers.map((make) => make(figures, clients)),
    audit: makeAudit(figures),
  }
}

const examine = async (run: Run, concerns: ReadonlyArray<Concern>, audit: Audit) => {
  await run.ready
  for (const concern of concerns) await concern.examine?.(run.conversation, audit)
}

/** Reads a copy of the database, so that the kernel itself meets the crash as it was. */
const inspect = (era: Era): void => {
  const copy = join(era.root, "copy")
  copyDirectory(era.dataDir, copy)
  era.audit.read(join(copy, "solo.db"))
  rmSync(copy, { recursive: true, force: true })
  for (const concern of era.concerns) concern.inspect?.(era.audit)
}

/** Photographs the kernel's files; answers what to do with the picture once the kernel is gone. */
const photograph = async (era: Era, run: Run, isTorn: boolean, random: Random) => {
  const dataDir = join(era.root, "image")
  // In this order and without a pause: nothing that is acknowledged later may be asked for.
  const concerns = era.concerns.map((concern) => concern.snapshot(!isTorn))
  await takeImage(run.kernel.pid, era.dataDir, dataDir, isTorn ? random : undefined)
  return async () => {
    era.figures.count(isTorn ? "torn images" : "whole images")
    const audit = isTorn ? makeAudit(era.figures) : era.audit.fork()
    const image: Era = { ...era, dataDir, concerns, audit }
    inspect(image)
    const again = await start(image)
    await examine(again, concerns, audit)
    await again.end({ kind: "kill" })
    rmSync(dataDir, { recursive: true, force: true })
  }
}

const play = async (era: Era, plan: Plan, random: Random): Promise<void> => {
  for (const stillborn of plan.stillborn) {
    await endEarly(era, stillborn)
    inspect(era)
  }
  const run = await start(era)
  if (!plan.isEager) await examine(run, era.concerns, era.audit)
  // Clients go on while the kernel ends: what it answers then counts as well.
  const working = work(run, era.concerns, clients, random, () => false)
  let develop: (() => Promise<void>) | undefined
  if (plan.image !== undefined) {
    await sleep(plan.image.atMs)
    develop = await photograph(era, run, plan.image.isTorn, random)
  }
  await sleep(plan.workMs - (plan.image?.atMs ?? 0))
  await run.end(plan.end)
  await working
  // The image continues what was known before this run.
  await develop?.()
  inspect(era)
}

/** Examines the last kernel of an era, and ends it cleanly. */
const conclude = async (era: Era): Promise<void> => {
  const run = await start(era)
  await examine(run, era.concerns, era.audit)
  await run.end({ kind: "stop" })
  inspect(era)
  const fresh = makeAudit(era.figures)
  copyDirectory(era.dataDir, join(era.root, "copy"))
  fresh.read(join(era.root, "copy", "solo.db"))
  if (fresh.types.at(-1) !== "system_shutdown_complete") {
    era.figures.lose(9, `the last event of a clean run is ${fresh.types.at(-1)}`)
  }
  for (const failure of era.audit.unrecovered) era.figures.lose(4, `not recovered: ${failure}`)
  era.figures.count("events in the log", fresh.types.length)
}

/** Runs a campaign. */
export const runCampaign = async (options: CampaignOptions): Promise<Figures> => {
  const figures = makeFigures()
  const random = makeRandom(options.seed)
  let era: Era | undefined
  try {
    for (let round = 1; round <= options.rounds; round++) {
      figures.round = round
      era ??= begin(figures, options.env ?? {})
      try {
        await play(era, makePlan(random.fork(round)), random.fork(round + 0x10000))
        if (round % eraRounds === 0 || round === options.rounds) {
          await conclude(era)
          rmSync(era.root, { recursive: true, force: true })
          era = undefined
        }
      } catch (error) {
        figures.lose(1, `the round broke off: ${error instanceof Error ? error.stack : error}`)
      }
      figures.count("rounds")
      options.onRound?.(figures)
      if (figures.losses.length > 0) break
    }
  } finally {
    // Kept after a loss, for whoever looks into it.
    if (figures.losses.length === 0 && era !== undefined) {
      rmSync(era.root, { recursive: true, force: true })
    } else if (era !== undefined) figures.count(`kept: ${era.root}`)
  }
  return figures
}
