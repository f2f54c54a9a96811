/**
 * Whether a process takes its turn at a processor like any other, or after everybody else, as Linux
 * takes it: policy, niceness and slice of every thread, and niceness of its session. Elsewhere
 * niceness is all there is. Who is to wait is the business of `Priority`.
 */
import { readdirSync, writeFileSync } from "node:fs"
import { getPriority, setPriority } from "node:os"

/** How a process takes its turn. */
export type Rank = "usual" | "last"

const SCHED_OTHER = 0
const SCHED_BATCH = 3
/** `sched_setattr`; `sched_getattr` is the next. */
const calls: Readonly<Record<string, bigint>> = { x64: 314n, arm64: 274n }
const attributesBytes = 48

const lowest = 19
const usualNiceness = getPriority()

/**
 * How long a thread that is last may run before others are asked, in nanoseconds; of the others the
 * system says it, which is 2.8 ms or less. Whoever wakes up does not wait for the end of a slice
 * that is longer than its own (since Linux 6.12); a low niceness alone does not save it from waiting
 * up to the next tick of the clock, which are 4 ms or more. It is hardly longer, because who has had
 * more than its share waits for all of it.
 */
const lastSlice = 3_000_000n

const attempt = (action: () => void): void => {
  try {
    action()
  } catch {
    // The process is gone, or the system does not let this user do it: then all stays as it is.
  }
}

/** Attributes as `sched_setattr` takes them, without a slice: the system's own. */
const attributesOf = (policy: number, niceness: number): Buffer => {
  const attributes = Buffer.alloc(attributesBytes)
  attributes.writeUInt32LE(attributesBytes, 0)
  attributes.writeUInt32LE(policy, 4)
  attributes.writeInt32LE(niceness, 16)
  return attributes
}

const openScheduler = () => {
  const ffi = process.getBuiltinModule("node:ffi")
  const long = "int64"
  const syscall = new ffi.DynamicLibrary(null).getFunction("syscall", {
    return: long,
    arguments: [long, long, long, long, long],
  }) as (...values: ReadonlyArray<bigint>) => bigint
  const number = calls[process.arch]!
  const set = (thread: number, attributes: Buffer): void => {
    const pointer = ffi.getRawPointer(attributes)
    if (syscall(number, BigInt(thread), pointer, 0n, 0n) !== 0n) throw new Error("not permitted")
  }
  const last = attributesOf(SCHED_BATCH, lowest)
  last.writeBigUInt64LE(lastSlice, 24)
  // What the kernel was started with is what is usual: its policy, and the priority of that.
  const usual = attributesOf(SCHED_OTHER, usualNiceness)
  syscall(number + 1n, 0n, ffi.getRawPointer(usual), BigInt(attributesBytes), 0n)
  usual.writeBigUInt64LE(0n, 24)
  return (thread: number, rank: Rank): void => {
    set(thread, rank === "last" ? last : usual)
    // Policies that know no niceness leave it as it was.
    if (rank === "usual") setPriority(thread, usualNiceness)
  }
}

const scheduler = (): ((thread: number, rank: Rank) => void) => {
  const byNiceness = (thread: number, rank: Rank) =>
    setPriority(thread, rank === "last" ? lowest : usualNiceness)
  if (process.platform !== "linux" || calls[process.arch] === undefined) return byNiceness
  try {
    return openScheduler()
  } catch {
    return byNiceness
  }
}

let schedule: ReturnType<typeof scheduler> | undefined

/**
 * Ranks a process. Where Linux groups the processes of a session (autogroup), niceness counts within
 * the group alone, and the group has one of its own, which is 0 for that of a new session.
 */
export const setRank = (pid: number, rank: Rank): void => {
  attempt(() => writeFileSync(`/proc/${pid}/autogroup`, String(rank === "last" ? lowest : 0)))
  const set = (schedule ??= scheduler())
  attempt(() => {
    for (const thread of readdirSync(`/proc/${pid}/task`)) attempt(() => set(Number(thread), rank))
  })
}
