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

/** The text of `path`, or `undefined` when there is no such file. */
export const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await fs.readFile(path, "utf8")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}
