/**
 * One kernel from its start to its end, and the clients that work with it meanwhile.
 */
import type { ChildProcess } from "node:child_process"
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"

import {
  call,
  type KernelProcess,
  type ProcessEnd,
  ready,
  spawnKernel,
  startKernel,
} from "../KernelProcess.ts"
import type { Concern, Conversation, Turn } from "./Concern.ts"
import type { Figures } from "./Figures.ts"
import { type Descendant, descendantsOf, leftovers } from "./Leftovers.ts"
import type { End } from "./Plan.ts"
import type { Random } from "./Random.ts"
import { type Trap, trapped } from "./Traps.ts"

/** How long any answer, and readiness, may take. */
const patienceMs = 60_000

/** A kernel that is worked with. */
export interface Run {
  readonly kernel: KernelProcess
  readonly conversation: Conversation
  /** Completes when it is ready. */
  readonly ready: Promise<void>
  /** How many requests were answered so far. */
  readonly answered: () => number
  readonly end: (how: End) => Promise<void>
}

/** How kernels are set up. */
export interface Setting {
  readonly dataDir: string
  readonly env: Readonly<Record<string, string>>
  readonly figures: Figures
  readonly config?: unknown
}

/** Kernels and commands that run now, with the tally of whoever started them. */
const alive = new Map<ChildProcess, Figures>()

/** Notes that the process runs, until it does not. */
export const live = (child: ChildProcess, { figures }: Setting): ChildProcess => {
  alive.set(child, figures)
  child.once("close", () => alive.delete(child))
  return child
}

/** Kills whatever runs, of one campaign or of all: for those that are broken off. */
export const endAll = (of?: Figures): void => {
  for (const [child, figures] of alive) {
    if (of === undefined || of === figures) child.kill("SIGKILL")
  }
}

/** Waits. */
export const sleep = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

const within = <A>(work: Promise<A>): Promise<A> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer in ${patienceMs} ms`)), patienceMs)
  return Promise.race([work, promise]).finally(() => clearTimeout(timer))
}

const expectNone = async (figures: Figures, descendants: ReadonlyArray<Descendant>) => {
  const left = await leftovers(descendants)
  if (left.length > 0) figures.lose(6, `processes outlive the kernel: ${JSON.stringify(left)}`)
}

const withTrap = <S extends Setting>(setting: S, trap: Trap | undefined): S =>
  trap === undefined ? setting : { ...setting, env: { ...setting.env, ...trapped(trap) } }

/** Counts the end of a kernel, and whether the trap for it was sprung; clears it away. */
const countTrap = ({ figures }: Setting, trap: Trap, outcome: string): void => {
  const isSprung = existsSync(trap.sprung)
  figures.count(isSprung ? `kills: in ${trap.phase}` : `missed: ${trap.phase}`)
  if (isSprung) figures.count(`hit: ${trap.phase}: ${trap.when}`)
  if (isSprung && outcome !== "SIGKILL") figures.lose(9, `a trap ended with ${outcome}`)
  if (existsSync(`${trap.sprung}.unsynced`)) figures.lose(1, "commits are not synced to the disk")
  rmSync(trap.sprung, { force: true })
  if (trap.armed !== undefined) rmSync(trap.armed, { force: true })
}

/** Starts a kernel that a trap ends during its start; kills it when that has come to nothing. */
export const endByTrap = async (setting: Setting, trap: Trap): Promise<void> => {
  const child = live(spawnKernel(withTrap(setting, trap)), setting)
  let output = ""
  const isOver = () => child.exitCode !== null || child.signalCode !== null
  const closed = new Promise<string>((resolve) =>
    child.once("close", (code, by) => resolve(String(by ?? code))),
  )
  child.stdout!.on("data", (data: Buffer) => (output += String(data)))
  child.stderr!.on("data", (data: Buffer) => (output += String(data)))
  for (let waited = 0; !isOver() && waited < patienceMs; waited += 10) {
    if (/"ready"|timed out/.test(output)) break
    await sleep(10)
  }
  const descendants = isOver() ? [] : descendantsOf(child.pid!)
  child.kill("SIGKILL")
  const outcome = await closed
  if (outcome !== "SIGKILL") {
    setting.figures.lose(9, `a kernel ended by itself with ${outcome}: ${output.slice(-3000)}`)
  }
  if (!existsSync(trap.sprung)) setting.figures.count("kills: when ready")
  countTrap(setting, trap, outcome)
  await expectNone(setting.figures, descendants)
}

/** Starts a kernel only to end it before it has done anything. */
export const endEarly = async (
  setting: Setting,
  { afterMs, signal }: { readonly afterMs: number; readonly signal: "SIGKILL" | "SIGTERM" },
): Promise<void> => {
  const { figures } = setting
  const child = live(spawnKernel(setting), setting)
  const closed = new Promise<string>((resolve) =>
    child.once("close", (code, by) => resolve(String(by ?? code))),
  )
  let listened = false
  let output = ""
  child.stdout!.on("data", () => (listened = true))
  child.stderr!.on("data", (data: Buffer) => (output += String(data)))
  await sleep(afterMs)
  const descendants = descendantsOf(child.pid!)
  if (child.exitCode !== null) {
    figures.lose(9, `a kernel ended by itself with ${child.exitCode}: ${output}`)
  }
  child.kill(signal)
  const outcome = await closed
  // Before it listens to signals, SIGTERM ends it as it ends any process.
  if (outcome !== signal && !(signal === "SIGTERM" && outcome === "0")) {
    figures.lose(9, `${signal} at ${afterMs} ms ended with ${outcome}: ${output}`)
  }
  const where = listened ? "after listening" : "before listening"
  figures.count(
    outcome === "SIGKILL" ? `kills: ${where}` : `ended: ${signal} ${where} → ${outcome}`,
  )
  await expectNone(figures, descendants)
}

const perform = async (kernel: KernelProcess, how: End): Promise<ProcessEnd> => {
  switch (how.kind) {
    case "kill":
      return kernel.end("SIGKILL")
    case "stop":
      return kernel.end("SIGTERM")
    case "kill while stopping":
      kernel.signal("SIGTERM")
      await sleep(how.afterMs)
      return kernel.end("SIGKILL")
    case "stop twice":
      kernel.signal("SIGTERM")
      await sleep(how.afterMs)
      return kernel.end("SIGTERM")
  }
}

const allowed: Readonly<Record<End["kind"], ReadonlyArray<string>>> = {
  kill: ["SIGKILL"],
  stop: ["0"],
  "kill while stopping": ["SIGKILL", "0"],
  "stop twice": ["143", "0"],
}

const judge = (setting: Setting, kernel: KernelProcess, how: End, end: ProcessEnd) => {
  const { figures, dataDir } = setting
  const outcome = String(end.signal ?? end.code)
  const place = how.kind === "kill" ? "at work" : "while stopping"
  figures.count(outcome === "SIGKILL" ? `kills: ${place}` : `ended: ${how.kind} → ${outcome}`)
  if (!allowed[how.kind].includes(outcome)) {
    figures.lose(9, `${how.kind} ended with ${outcome}: ${kernel.output().stderr.slice(-3000)}`)
  }
  if (outcome === "0" && existsSync(join(dataDir, "kernel.json"))) {
    figures.lose(9, "kernel.json outlives a clean shutdown")
  }
}

const asking =
  (kernel: KernelProcess, isEnding: () => boolean, figures: Figures): Conversation["ask"] =>
  async (method, path, request) => {
    try {
      return await within(call(kernel, method, path, request))
    } catch (error) {
      const cause = (error as { cause?: unknown }).cause ?? error
      if (!isEnding()) figures.lose(1, `${method} ${path}: no answer: ${String(cause)}`)
      return undefined
    }
  }

/** Starts a kernel, with a trap or without; fails when it does not come up. */
export const start = async (setting: Setting, trap?: Trap): Promise<Run> => {
  const { figures } = setting
  const kernel = await startKernel(withTrap(setting, trap), (child) => live(child, setting))
  let isReady = false
  let isTold = false
  let answers = 0
  const ask = asking(kernel, () => isEnding(), figures)
  const isSprung = () => trap !== undefined && existsSync(trap.sprung)
  const isEnding = () => isTold || isSprung()
  const gone = new AbortController()
  void kernel.ended.then(() => gone.abort())
  const becoming = within(ready(kernel)).then(
    () => void (isReady = true),
    (error) => {
      if (!isEnding()) figures.lose(4, `the kernel did not become ready: ${String(error)}`)
    },
  )
  void kernel.ended.then(({ code, signal }) => {
    if (isEnding()) return
    isTold = true
    const { stderr } = kernel.output()
    figures.lose(1, `the kernel ended by itself (${code}, ${signal}): ${stderr.slice(-3000)}`)
  })
  return {
    kernel,
    ready: becoming,
    answered: () => answers,
    conversation: {
      url: kernel.url,
      token: kernel.token,
      ask: async (...request) => {
        const answer = await ask(...request)
        if (answer !== undefined) answers++
        return answer
      },
      isReady: () => isReady,
      isEnding,
      gone: gone.signal,
    },
    end: async (how) => {
      const descendants = descendantsOf(kernel.pid)
      isTold = true
      const end = await perform(kernel, how)
      const isHit = isSprung()
      if (trap !== undefined) countTrap(setting, trap, String(end.signal ?? end.code))
      if (!isHit) judge(setting, kernel, how, end)
      await expectNone(figures, descendants)
    },
  }
}

const client = async (
  turn: Turn,
  concerns: ReadonlyArray<Concern>,
  isOver: () => boolean,
): Promise<void> => {
  const operations = concerns.flatMap((concern) => concern.operations)
  const silence = { count: 0 }
  const ask: Turn["ask"] = async (...request) => {
    const answer = await turn.ask(...request)
    if (answer === undefined) silence.count++
    return answer
  }
  // Who got no answer from a kernel that ends need not ask again.
  while (!isOver() && !(turn.isEnding() && silence.count > 0)) {
    await turn.random.weighted(operations).run({ ...turn, ask })
  }
}

/** Lets clients work until `isOver`, and whoever attends until the kernel is gone. */
export const work = (
  { conversation }: Run,
  concerns: ReadonlyArray<Concern>,
  clients: number,
  random: Random,
  isOver: () => boolean,
): Promise<unknown> =>
  Promise.all([
    ...Array.from({ length: clients }, (_, index) =>
      client({ ...conversation, client: index, random: random.fork(index) }, concerns, isOver),
    ),
    ...concerns.map((concern) => concern.attend?.(conversation)),
  ])
