/**
 * What a box uses, as the system tells: two small reads in `/proc`. Where there is none, the box's
 * own word is all there is.
 */
import { readFileSync } from "node:fs"

/** Ticks of processor time per second: fixed on every Linux that Node runs on. */
const ticksPerSecond = 100
const pageBytes = process.arch === "arm64" ? undefined : 4096

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, "latin1")
  } catch {
    return undefined
  }
}

/** The processes that `pid`'s main thread started and that are still there. */
export const childrenOf = (pid: number): ReadonlyArray<number> =>
  (read(`/proc/${pid}/task/${pid}/children`) ?? "").split(" ").filter(Boolean).map(Number)

/** The process at the end of the chain that starts with `pid`: Node, inside what holds it. */
export const innermost = (pid: number): number => {
  let found = pid
  for (;;) {
    const [child] = childrenOf(found)
    if (child === undefined) return found
    found = child
  }
}

/** A figure in kilobytes out of `/proc/<pid>/status`, in bytes. */
export const statusBytes = (pid: number, key: string): number | undefined => {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(read(`/proc/${pid}/status`) ?? "")
  return found === null ? undefined : Number(found[1]) * 1024
}

// The name, in brackets, may hold anything: fields are counted from behind it.
const fieldsOf = (stat: string): ReadonlyArray<string> =>
  stat.slice(stat.lastIndexOf(")") + 2).split(" ")

const cpuMsIn = (fields: ReadonlyArray<string>): number =>
  Math.round(((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond)

/** Processor time in milliseconds of all threads of a process, if the system tells. */
export const cpuMsOf = (pid: number): number | undefined => {
  const stat = read(`/proc/${pid}/stat`)
  return stat === undefined ? undefined : cpuMsIn(fieldsOf(stat))
}

/** Resident memory in bytes and processor time in milliseconds, if the system tells. */
export const figuresOf = (
  pid: number,
): readonly [memoryBytes: number, cpuMs: number] | undefined => {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  const fields = fieldsOf(stat)
  const pages = Number(fields[21])
  const memory = pageBytes === undefined ? statusBytes(pid, "VmRSS") : pages * pageBytes
  return [memory ?? 0, cpuMsIn(fields)]
}
