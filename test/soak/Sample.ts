/**
 * What a kernel's process and files take at one moment, as the operating system sees it.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

import { descendantsOf } from "../process/campaign/Leftovers.ts"

/** One look at a kernel. Sizes are bytes. */
export interface Sample {
  /** Seconds since the soak began. */
  readonly at: number
  /** Counts the kernel's processes, from 1. */
  readonly life: number
  /** Acknowledged changes so far: deployments, kills, tokens, secrets. */
  readonly steps: number
  readonly rss: number
  readonly handles: number
  readonly threads: number
  /** Those it started that still run: boxes, and what encloses them. */
  readonly processes: number
  readonly database: number
  readonly wal: number
}

/** The columns of the table, in order. */
export const columns = [
  "at",
  "life",
  "steps",
  "rss",
  "handles",
  "threads",
  "processes",
  "database",
  "wal",
] as const satisfies ReadonlyArray<keyof Sample>

const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0)

/** Looks at the process `pid` and its files in `dataDir`. */
export const look = (pid: number, dataDir: string): Omit<Sample, "at" | "life" | "steps"> => {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1])
  return {
    rss: field("VmRSS") * 1024,
    threads: field("Threads"),
    processes: descendantsOf(pid).length,
    handles: readdirSync(`/proc/${pid}/fd`).length,
    database: sizeOf(join(dataDir, "solo.db")),
    wal: sizeOf(join(dataDir, "solo.db-wal")),
  }
}
