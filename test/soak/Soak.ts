/**
 * One kernel after the other on one data directory, each worked with for long and then killed;
 * between them everything is checked as in a campaign, and all the while they are measured.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { makeAudit } from "../process/campaign/Audit.ts"
import { concerns as makers } from "../process/campaign/Concerns.ts"
import { copyDirectory } from "../process/campaign/CrashImage.ts"
import type { Figures } from "../process/campaign/Figures.ts"
import { makeRandom } from "../process/campaign/Random.ts"
import { sleep, start, work } from "../process/campaign/Run.ts"
import { look, type Sample } from "./Sample.ts"

/** A small heap, so that the collector cannot put off its work and hide what is kept. */
const nodeOptions = "--max-old-space-size=96 --max-semi-space-size=1"

/** Clients that work at the same time. */
const clients = 2

/** How often a kernel is looked at. */
const sampleMs = 1000

const stepsOf = ({ counts }: Figures): number =>
  [...counts].reduce((sum, [what, n]) => sum + (what.startsWith("acknowledged ") ? n : 0), 0)

/** How to soak. */
export interface SoakOptions {
  readonly durationMs: number
  readonly seed: number
  /** Kernels, one after the other, that share the time. */
  readonly lives: number
  readonly env: Readonly<Record<string, string>>
  /** Where losses and steps are counted. */
  readonly figures: Figures
  readonly onSample: (sample: Sample) => void
  /** Ends the kernel that runs, checks it, and starts no other. */
  readonly signal: AbortSignal
}

/** Soaks. */
export const soak = async (options: SoakOptions): Promise<void> => {
  const { durationMs, seed, lives, env, figures, signal } = options
  const root = mkdtempSync(join(tmpdir(), "solo-soak-"))
  const setting = {
    dataDir: join(root, "data"),
    env: { NODE_OPTIONS: nodeOptions, ...env },
    figures,
  }
  const concerns = makers.map((make) => make(figures, clients))
  const audit = makeAudit(figures)
  const random = makeRandom(seed)
  const begun = performance.now()
  const verify = () => {
    copyDirectory(setting.dataDir, join(root, "copy"))
    audit.read(join(root, "copy", "solo.db"))
    rmSync(join(root, "copy"), { recursive: true })
    for (const concern of concerns) concern.inspect?.(audit)
  }
  for (let life = 1; life <= lives + 1; life++) {
    if (signal.aborted) break
    figures.round = life
    const run = await start(setting)
    await run.ready
    for (const concern of concerns) await concern.examine?.(run.conversation, audit)
    // The last life only shows that everything came back.
    if (life > lives) {
      await run.end({ kind: "stop" })
      verify()
      break
    }
    const endsAt = begun + (durationMs * life) / lives
    const working = work(run, concerns, clients, random.fork(life), () => false)
    while (performance.now() < endsAt && !run.conversation.gone.aborted && !signal.aborted) {
      const at = Math.round((performance.now() - begun) / 1000)
      const seen = look(run.kernel.pid, setting.dataDir)
      options.onSample({ at, life, steps: stepsOf(figures), ...seen })
      await sleep(sampleMs)
    }
    await run.end({ kind: "kill" })
    await working
    verify()
  }
  rmSync(root, { recursive: true, force: true })
}
