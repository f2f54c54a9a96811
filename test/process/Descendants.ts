/**
 * The processes of a kernel as the machine sees them, from `/proc`.
 */
import { readFileSync, readdirSync } from "node:fs"

const read = (path: string) => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

/** All processes that descend from `pid`. */
export const descendants = (pid: number): ReadonlyArray<number> => {
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [
      Number(name),
      Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${name}/status`))?.[1]),
    ])
  const found = [pid]
  for (const parent of found)
    for (const [child, of] of parents) if (of === parent) found.push(child!)
  return found.slice(1)
}

/** Whether a process runs: one that nobody has waited for yet does not. */
export const isAlive = (pid: number) => /^State:\s+[^ZX]/m.test(read(`/proc/${pid}/status`))
