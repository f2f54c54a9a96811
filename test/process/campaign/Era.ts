/**
 * The rounds that share a data directory: how it begins, what is known of it, and how it is looked
 * at from outside and from within.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { goldenVersions, restore } from "../../golden/GoldenLog.ts"
import { type Audit, makeAudit } from "./Audit.ts"
import type { Concern } from "./Concern.ts"
import { concerns as makers } from "./Concerns.ts"
import { copyDirectory } from "./CrashImage.ts"
import type { Figures } from "./Figures.ts"
import type { Random } from "./Random.ts"
import type { Run, Setting } from "./Run.ts"

/** Clients that work at the same time. */
export const clients = 4

/** Events after which a checkpoint is taken: a round has about so many. */
const checkpointEvery = 20

/** Settings that make a round short: no boxes are kept warm for deployments to come. */
const settingsFor = (runtime = "boxes") => ({
  kernel: { checkpointEvery },
  ...(runtime === "boxes" ? { boxes: { pool: 0 } } : {}),
})

/** The rounds that share a data directory. */
export interface Era extends Setting {
  readonly root: string
  readonly concerns: ReadonlyArray<Concern>
  readonly audit: Audit
}

/** Leaves the database of a released version in `dataDir`, which has fewer tables than today's. */
const inherit = (dataDir: string, random: Random, figures: Figures): void => {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const version = random.pick(goldenVersions)
  restore(version, join(dataDir, "solo.db"))
  figures.count(`eras begun from ${version}`)
}

/** Begins an era: on nothing, or on what an older version has left. */
export const beginEra = (
  figures: Figures,
  env: Readonly<Record<string, string>>,
  random: Random,
): Era => {
  const root = mkdtempSync(join(tmpdir(), "solo-campaign-"))
  const dataDir = join(root, "data")
  if (random.chance(0.5)) inherit(dataDir, random, figures)
  else figures.count("eras begun from nothing")
  const era: Era = {
    root,
    dataDir,
    env,
    config: { pluginConfig: settingsFor(env["SOLO_RUNTIME"]) },
    figures,
    concerns: makers.map((make) => make(figures, clients)),
    audit: makeAudit(figures),
  }
  inspect(era)
  return era
}

/** Reads a copy of the database, so that the kernel itself meets the crash as it was. */
export const inspect = (era: Era): void => {
  const copy = join(era.root, "copy")
  copyDirectory(era.dataDir, copy)
  era.audit.read(join(copy, "solo.db"))
  rmSync(copy, { recursive: true, force: true })
  for (const concern of era.concerns) concern.inspect?.(era.audit)
}

/** Examines a kernel that is left alone. */
export const examine = async (run: Run, { concerns, audit }: Era): Promise<void> => {
  await run.ready
  for (const concern of concerns) await concern.examine?.(run.conversation, audit)
}
