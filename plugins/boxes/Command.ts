/**
 * A command that starts a program in a box, and how it is spawned. What the command is made of is
 * the business of `Enclosure`.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"

/** A command. */
export interface Command {
  readonly file: string
  readonly args: ReadonlyArray<string>
  /**
   * Descriptors of files that it gets from `firstDescriptor` on, each opened anew for reading:
   * reading moves the position in a file. Who made them closes them.
   */
  readonly files: ReadonlyArray<number>
  readonly uid: number | undefined
}

/** The first descriptor behind the three pipes. */
export const firstDescriptor = 3

const descriptors = process.platform === "linux" ? "/proc/self/fd" : "/dev/fd"

/**
 * Spawns a command with three pipes, without an environment, in a process group of its own: to be
 * killed as one, and out of reach of a terminal's Ctrl-C. Throws where a file cannot be opened.
 */
export const spawnCommand = ({
  args,
  file,
  files,
  uid,
}: Command): ChildProcessWithoutNullStreams => {
  const extra: Array<number> = []
  try {
    for (const descriptor of files) extra.push(openSync(`${descriptors}/${descriptor}`, "r"))
    const child = spawn(file, args, {
      cwd: "/",
      env: {},
      detached: true,
      stdio: ["pipe", "pipe", "pipe", ...extra],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    })
    return child as ChildProcessWithoutNullStreams
  } finally {
    for (const descriptor of extra) closeSync(descriptor)
  }
}
