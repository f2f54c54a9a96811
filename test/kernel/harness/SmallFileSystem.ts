/**
 * File systems in memory that are quickly full, where this process may mount one.
 */
import { execFileSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import * as Effect from "effect/Effect"

const mount = (size: string): string | undefined => {
  const directory = mkdtempSync(join(tmpdir(), "solo-full-"))
  try {
    const options = ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", directory]
    execFileSync("mount", options, { stdio: "pipe" })
    return directory
  } catch {
    rmSync(directory, { recursive: true })
    return undefined
  }
}

const unmount = (directory: string): void => {
  // At once for us; whoever is still in there ends on its own.
  execFileSync("umount", ["--lazy", directory])
  rmSync(directory, { recursive: true })
}

/** A file system of `size`, such as `2m`, until the scope closes; `undefined` where it may not be. */
export const smallFileSystem = (size: string) =>
  Effect.acquireRelease(
    Effect.sync(() => mount(size)),
    (directory) => Effect.sync(() => (directory === undefined ? undefined : unmount(directory))),
  )

/** Writes to the file `path` until nothing fits any more. */
export const fillUp = (path: string): void => {
  const file = openSync(path, "a")
  try {
    for (;;) writeSync(file, Buffer.alloc(4096))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error
  } finally {
    closeSync(file)
  }
}
