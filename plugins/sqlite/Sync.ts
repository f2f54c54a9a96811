/**
 * Brings files to disk: what is renamed or copied is there after a power loss only once both the
 * file and its directory were synced.
 */
import { closeSync, fsyncSync, openSync } from "node:fs"

/** Returns when the content of the file, or the entries of the directory, at `path` are on disk. */
export const sync = (path: string): void => {
  const file = openSync(path, "r")
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
