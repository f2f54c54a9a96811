/**
 * Makes the files of databases for their owner alone, whatever the directory they are in. SQLite
 * itself makes them as the process's umask says, and gives a log the mode of its database.
 */
import { closeSync, openSync } from "node:fs"

/** Makes `path`, empty and with mode 0600, where it is missing: to SQLite that is a new database. */
export const createClosed = (path: string): void => {
  try {
    closeSync(openSync(path, "wx", 0o600))
  } catch {
    // It is there already, or SQLite will meet the same trouble and tell it in its own words.
  }
}
