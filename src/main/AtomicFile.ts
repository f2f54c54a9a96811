/**
 * Files that are there whole or not at all, whatever happens to the process or the machine. It
 * knows nothing of what is in them. One process at a time may write one path.
 */
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import { dirname } from "node:path"

/** The code of a failure that Node has none for. */
const notAFile = "NOT_A_FILE"

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
  [notAFile]: "it is a device, a pipe or a socket, and must be a file; move it away",
  ELOOP: "its symbolic links go round in a circle; move it away",
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

/**
 * The same of a file that is Solo's own. A pipe in its place would be waited for, for ever, and is
 * refused like a directory.
 */
export const readOwnFile = async (path: string): Promise<string | undefined> => {
  const stats = await fs.stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined
    throw error
  })
  if (stats !== undefined && !stats.isFile() && !stats.isDirectory()) {
    throw Object.assign(new Error(`${path} is not a file`), { code: notAFile })
  }
  return await readIfThere(path)
}

/** Closes a file that other users of this machine can read; says whether it was open to them. */
export const closeToOthers = async (path: string): Promise<boolean> => {
  const { mode } = await fs.stat(path)
  if ((mode & 0o077) === 0) return false
  await fs.chmod(path, 0o600)
  return true
}
