/**
 * Has Linux send this process a signal when the process that started it is gone, however that ended.
 * Elsewhere, or where the C library cannot be had, it does nothing.
 */
import { constants } from "node:os"

const PR_SET_PDEATHSIG = 1
const calls: Readonly<Record<string, bigint>> = { x64: 157n, arm64: 167n }

/** The signal that is to be sent. */
export const signalOnParentDeath = (signal: "SIGCONT"): void => {
  const prctl = calls[process.arch]
  if (process.platform !== "linux" || prctl === undefined) return
  try {
    const ffi = process.getBuiltinModule("node:ffi")
    const syscall = new ffi.DynamicLibrary(null).getFunction("syscall", {
      return: "int64",
      arguments: ["int64", "int64", "int64"],
    }) as (...values: ReadonlyArray<bigint>) => bigint
    syscall(prctl, BigInt(PR_SET_PDEATHSIG), BigInt(constants.signals[signal]))
  } catch {
    // Then one that somebody stopped ends when it goes on.
  }
}
