/**
 * Files that are there whole or not at all, whatever happens to the process or the machine. It
 * knows nothing of what is in them. One process at a time may write one path.
 */
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import { dirname } from "node:path"

const syncDirectory = async (path: string): Promise<void> => {
  const handle = await fs.open(path, constants.O_RDONLY)
  try {
    await handle.sync()
  } catch (error) {
    // Some file systems cannot sync a directory; the file itself is on disk.
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error
  } finally {
    await handle.close()
  }
}

/**
 * Replaces or makes `path` with mode 0600. When it returns, the text survives a power loss; until
 * then the former content does.
 */
export const writeAtomically = async (path: string, text: string): Promise<void> => {
  const temporary = `${path}.new`
  await fs.rm(temporary, { force: true })
  const handle = await fs.open(temporary, "wx", 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await fs.rename(temporary, path)
  await syncDirectory(dirname(path))
}

const reasons: Readonly<Record<string, string>> = {
  EISDIR: "it is a directory, and must be a file; move it away",
  EACCES: "this user may not use it",
  EPERM: "this user may not use it",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
}

/** Why a file could not be read, written or removed, for people. */
export const fileTrouble = (cause: unknown): string => {
  const { code, message } = cause as NodeJS.ErrnoException
  return reasons[code === "ERR_FS_EISDIR" ? "EISDIR" : (code ?? "")] ?? message
}

/** The text of `path`, or `undefined` when there is no such file. */
export const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await fs.readFile(path, "utf8")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}
