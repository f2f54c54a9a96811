/**
 * Processes that a kernel started, as the operating system knows them: none may outlive it.
 */
import { readdirSync, readFileSync } from "node:fs"

/** How long whatever a dead kernel started may take to notice. */
const graceMs = 5000

/** A process, told apart from a later one with the same number. */
export interface Descendant {
  readonly pid: number
  readonly startedAt: string
}

const startOf = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return fields[0] === "Z" ? undefined : fields[19]
  } catch {
    return undefined
  }
}

const childrenOf = (pid: number): ReadonlyArray<number> => {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8")
        .split(" ")
        .filter((text) => text !== "")
        .map(Number),
    )
  } catch {
    return []
  }
}

/** Everything that descends from `pid` now. */
export const descendantsOf = (pid: number): ReadonlyArray<Descendant> =>
  childrenOf(pid).flatMap((child) => {
    const startedAt = startOf(child)
    const own = startedAt === undefined ? [] : [{ pid: child, startedAt }]
    return [...own, ...descendantsOf(child)]
  })

/** Which of them still run, after they have had time to end. */
export const leftovers = async (
  descendants: ReadonlyArray<Descendant>,
): Promise<ReadonlyArray<Descendant>> => {
  for (let waited = 0; ; waited += 50) {
    const left = descendants.filter(({ pid, startedAt }) => startOf(pid) === startedAt)
    if (left.length === 0 || waited >= graceMs) return left
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
