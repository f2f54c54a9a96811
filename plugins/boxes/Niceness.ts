/** Niceness, as the system takes it: of all threads of a process, and of its session. */
import { readdirSync, writeFileSync } from "node:fs"
import { getPriority, setPriority } from "node:os"

/** The niceness of who takes little: that of this process. */
export const usual = getPriority()
/** The niceness of who waits for everybody. */
export const lowest = 19

const attempt = (action: () => void): void => {
  try {
    action()
  } catch {
    // The process is gone, or the system does not let this user do it: then all stays as it is.
  }
}

/**
 * Where Linux groups the processes of a session (autogroup), niceness counts within the group
 * alone, and the group has one of its own.
 */
export const setNiceness = (pid: number, niceness: number): void => {
  attempt(() => writeFileSync(`/proc/${pid}/autogroup`, String(niceness)))
  attempt(() => {
    for (const thread of readdirSync(`/proc/${pid}/task`))
      attempt(() => setPriority(Number(thread), niceness))
  })
}
