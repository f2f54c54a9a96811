/**
 * Rounds of starting a real kernel, working with it, and pulling its plug, always on the same data
 * directory; after every end the database is read, and every kernel that comes up is examined.
 */
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

import { makeAudit } from "./Audit.ts"
import { keysOf, takeBackup, unpack } from "./Backups.ts"
import { copyDirectory, markImage, takeImage, takeTornImage } from "./CrashImage.ts"
import { beginEra, clients, type Era, examine, inspect } from "./Era.ts"
import { type Figures, makeFigures } from "./Figures.ts"
import { makePlan, type Plan } from "./Plan.ts"
import { makeRandom, type Random } from "./Random.ts"
import { endRotating } from "./Rotation.ts"
import { endAll, endByTrap, endEarly, type Run, sleep, start, work } from "./Run.ts"
import { makeTrap, type Phase } from "./Traps.ts"

/** Rounds on one data directory; then a new one begins, so that no round grows too long. */
const eraRounds = 25

/** Longest time, in milliseconds, between what a torn image must hold and the image. */
const maxTornMs = 150

/** Longest time, in milliseconds, that a busy machine gets to answer a round's requests. */
const maxWorkMs = 8000

/** How often a round looks whether it is over, in milliseconds. */
const stepMs = 5

/** What to do. */
export interface CampaignOptions {
  readonly rounds: number
  readonly seed: number
  readonly env?: Readonly<Record<string, string>>
  /** Where to count; a tally of its own otherwise. */
  readonly figures?: Figures
  /** Called after every round. */
  readonly onRound?: (figures: Figures) => void
  /** Ends the campaign: what is under way then is neither finished nor judged. */
  readonly signal?: AbortSignal
}

/** What to do with an image once the kernel it was taken of is gone. */
type Develop = () => Promise<void>

const nothing: Develop = async () => undefined

/** What is known at this instant, for an image: at once, so that nothing later is asked for. */
const imageOf = (era: Era, isWhole: boolean): Era => ({
  ...era,
  dataDir: join(era.root, "image"),
  concerns: era.concerns.map((concern) => concern.snapshot(isWhole)),
})

/** Starts a kernel on an image and examines it. The image continues what was known before. */
const develop = async (image: Era, era: Era): Promise<void> => {
  const own: Era = { ...image, audit: era.audit.fork() }
  inspect(own)
  const again = await start(own)
  await examine(again, own)
  await again.end({ kind: "kill" })
  rmSync(own.dataDir, { recursive: true, force: true })
}

const photograph = async (
  era: Era,
  run: Run,
  isTorn: boolean,
  random: Random,
): Promise<Develop> => {
  const { dataDir, figures } = era
  const { pid } = run.kernel
  const image = imageOf(era, !isTorn)
  if (isTorn) {
    const mark = await markImage(pid, dataDir, image.dataDir)
    await sleep(random.between(0, maxTornMs))
    const isCut = await takeTornImage(pid, dataDir, image.dataDir, mark, random)
    figures.count(isCut ? "images: torn" : "images: to be torn, but nothing was written")
    // Without its mark an image must do as well.
    if (random.chance(0.5)) rmSync(join(image.dataDir, "solo.db.mark"), { force: true })
  } else {
    await takeImage(pid, dataDir, image.dataDir)
    figures.count("images: whole")
  }
  return () => develop(image, era)
}

const backUp = async (era: Era, killAfterMs: number | undefined): Promise<Develop> => {
  const path = join(era.root, "backup")
  const image = imageOf(era, false)
  const before = keysOf(era.dataDir)
  const isThere = await takeBackup(era, path, killAfterMs)
  if (!isThere) return nothing
  const after = keysOf(era.dataDir)
  unpack(path, before, image.dataDir)
  if (before.join() === after.join()) return () => develop(image, era)
  // It needs a key that it may not have: that it is whole can be seen without.
  era.figures.count("backups across a rotation")
  return async () => {
    inspect({ ...image, audit: era.audit.fork() })
    rmSync(image.dataDir, { recursive: true, force: true })
  }
}

const trapFor = (era: Era, random: Random, phase: Phase) =>
  makeTrap(random, phase, join(era.root, "sprung"))

/** What happens to a kernel at work, beside its clients, until its end is due. */
const accompany = async (era: Era, run: Run, plan: Plan, random: Random): Promise<Develop> => {
  const begun = performance.now()
  const before = run.answered()
  const rest = async () => {
    for (let worked = 0; !run.conversation.isEnding(); worked = performance.now() - begun) {
      const isDone = worked >= plan.workMs && run.answered() - before >= plan.answers
      if (isDone || worked >= maxWorkMs) return
      await sleep(stepMs)
    }
  }
  if (plan.trap === "rotation") {
    await sleep(random.between(0, plan.workMs))
    await run.conversation.ask("POST", "/v1/master-key/rotate")
  }
  if (plan.image !== undefined) {
    await sleep(plan.image.atMs)
    if (run.conversation.isEnding()) return nothing
    const developed = await photograph(era, run, plan.image.isTorn, random).catch(
      (error: NodeJS.ErrnoException) => {
        // A trap may have sprung meanwhile: there is nobody left to take a picture of.
        if (error.code !== "ESRCH" && error.code !== "ENOENT") throw error
        era.figures.count("images: the kernel was gone")
        return nothing
      },
    )
    await rest()
    return developed
  }
  if (plan.backup !== undefined) {
    await sleep(plan.backup.atMs)
    const backup = backUp(era, plan.backup.killAfterMs)
    // The kernel may end before the backup does.
    await rest()
    return async () => (await backup)()
  }
  await rest()
  return nothing
}

const play = async (era: Era, plan: Plan, random: Random): Promise<void> => {
  for (const stillborn of plan.stillborn) {
    await ("phase" in stillborn
      ? endByTrap(era, trapFor(era, random, stillborn.phase))
      : endEarly(era, stillborn))
    inspect(era)
  }
  if (plan.rotation !== undefined) await endRotating(era, plan.rotation)
  const armed = join(era.root, "armed")
  const trap = plan.trap === undefined ? undefined : { ...trapFor(era, random, plan.trap), armed }
  const run = await start(era, trap)
  if (!plan.isEager) await examine(run, era)
  if (trap !== undefined) writeFileSync(armed, "")
  // Clients go on while the kernel ends: what it answers then counts as well.
  const working = work(run, era.concerns, clients, random, () => false)
  const develop = await accompany(era, run, plan, random)
  await run.end(plan.end)
  await working
  await develop()
  inspect(era)
}

/** Examines the last kernel of an era, and ends it cleanly. */
const conclude = async (era: Era): Promise<void> => {
  const run = await start(era)
  await examine(run, era)
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
  rmSync(era.root, { recursive: true, force: true })
}

/** Runs a campaign. */
export const runCampaign = async (options: CampaignOptions): Promise<Figures> => {
  const { figures = makeFigures(), rounds, signal } = options
  const random = makeRandom(options.seed)
  signal?.addEventListener("abort", figures.close)
  let era: Era | undefined
  try {
    for (let round = 1; round <= rounds; round++) {
      figures.round = round
      const isFirst = era === undefined
      era ??= beginEra(figures, options.env ?? {}, random.fork(round + 0x20000))
      try {
        const plan = makePlan(random.fork(round), round, isFirst)
        await play(era, plan, random.fork(round + 0x10000))
        if (round % eraRounds === 0 || round === rounds) {
          await conclude(era)
          era = undefined
        }
      } catch (error) {
        figures.lose(1, `the round broke off: ${error instanceof Error ? error.stack : error}`)
      }
      if (signal?.aborted) break
      figures.count("rounds")
      options.onRound?.(figures)
      if (figures.losses.length > 0) break
    }
  } finally {
    endAll(figures)
    // Kept after a loss, for whoever looks into it.
    if (figures.losses.length === 0 && era !== undefined) {
      rmSync(era.root, { recursive: true, force: true })
    } else if (era !== undefined) figures.count(`kept: ${era.root}`)
  }
  return figures
}
