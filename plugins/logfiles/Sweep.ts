/**
 * What goes from the directory of logs beside the rings' own oldest segments: what is too old, and
 * the oldest of all where services, living and killed, have more together than they may.
 */
import * as fs from "node:fs/promises"
import { join } from "node:path"

import { type LogFiles, namesIn } from "./LogFiles.ts"
import { firstIdOf } from "./Segment.ts"

/** What a small file takes on disk at least, with its share of a directory, in bytes. */
const minFileBytes = 4096

/** How much may lie there, and for how long. */
export interface Bounds {
  readonly totalBytes: number
  readonly maxAgeMs: number
}

interface Found {
  readonly path: string
  readonly bytes: number
  readonly writtenAt: number
}

const find = async (files: LogFiles): Promise<ReadonlyArray<Found>> => {
  const found: Array<Found> = []
  for (const tenant of await namesIn(files.directory)) {
    for (const service of await namesIn(join(files.directory, tenant))) {
      const directory = join(files.directory, tenant, service)
      for (const name of await namesIn(directory)) {
        if (firstIdOf(name) === undefined) continue
        const path = join(directory, name)
        const stats = await fs.stat(path).catch(() => undefined)
        if (stats === undefined) continue
        found.push({ path, bytes: Math.max(minFileBytes, stats.size), writtenAt: stats.mtimeMs })
      }
      // Only an empty one goes.
      await fs.rmdir(directory).catch(() => undefined)
    }
  }
  return found
}

/** Removes what is beyond the bounds at the time `now`; how many segments that were. */
export const sweep = async (files: LogFiles, now: number, bounds: Bounds): Promise<number> => {
  files.written = 0
  const found = (await find(files)).toSorted((left, right) => left.writtenAt - right.writtenAt)
  let total = found.reduce((sum, { bytes }) => sum + bytes, 0)
  let removed = 0
  for (const { bytes, path, writtenAt } of found) {
    if (total <= bounds.totalBytes && writtenAt >= now - bounds.maxAgeMs) continue
    await fs.rm(path, { force: true, recursive: true })
    total -= bytes
    removed += 1
  }
  if (removed > 0) files.forget()
  return removed
}
