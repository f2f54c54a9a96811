/**
 * A small process beside the kernel that outlives it by a moment: when the kernel has ended,
 * however that happened, it ends every box that is still there. A box that is up dies with the
 * kernel by itself. One that is coming up may not: before bubblewrap has asked the system for it
 * the kernel may be gone, and the half of bubblewrap that becomes the box waits for the other half,
 * for ever if that was killed.
 */
import { spawn } from "node:child_process"
import { accessSync, constants } from "node:fs"

import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** POSIX has it there. */
const shell = "/bin/sh"

/**
 * Waits for the end of its input, then ends whoever has the mark in its command line, until nobody
 * had it twice in a row: a process that was being made might not show it yet. The mark is never in
 * the command line of what looks for it.
 */
const script = `
read -r mark || exit 0
while read -r line; do :; done
clean=0
rounds=0
while [ $clean -lt 2 ] && [ $rounds -lt 50 ]; do
  [ $rounds -eq 0 ] || sleep 0.1 || exit 1
  rounds=$((rounds + 1))
  clean=$((clean + 1))
  for file in $(printf '%s\\n' "$mark" | grep -lsF -f - /proc/[0-9]*/cmdline); do
    pid=\${file#/proc/}
    kill -9 "\${pid%/cmdline}" 2>/dev/null
    clean=0
  done
done
`

const hasShell = (): boolean => {
  try {
    accessSync(shell, constants.X_OK)
    return process.platform === "linux"
  } catch {
    return false
  }
}

const start = (mark: string) => {
  const child = spawn(shell, ["-c", script], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    // Out of reach of a terminal's Ctrl-C, and of whoever ends the kernel's process group.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  })
  for (const source of [child, child.stdin]) source.on("error", () => {})
  child.stdin.write(`${mark}\n`)
  child.unref()
  return child
}

/** Watches over the boxes that have `mark` in their command line, for as long as the scope lives. */
export const startWarden = (mark: string): Effect.Effect<void, never, Scope.Scope> =>
  hasShell()
    ? Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => start(mark)),
          (child) => Effect.sync(() => child.kill("SIGKILL")),
        ),
      )
    : Effect.void
