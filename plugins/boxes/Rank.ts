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
const niceness: Readonly<Record<Rank, number>> = { usual: getPriority(), last: lowest }

/**
 * How long a thread may run before others are asked, in nanoseconds; 0 is what the system holds
 * best, which is 2.8 ms or less. Whoever wakes up does not wait for the end of a slice that is
 * longer than its own (since Linux 6.12); a low niceness alone does not save it from waiting up to
 * the next tick of the clock, which are 4 ms or more. It is hardly longer, because who has had more
 * than its share waits for all of it.
 */
const slice: Readonly<Record<Rank, bigint>> = { usual: 0n, last: 3_000_000n }

const attempt = (action: () => void): void => {
  try {
    action()
  } catch {
    // The process is gone, or the system does not let this user do it: then all stays as it is.
  }
}

const openScheduler = () => {
  const ffi = process.getBuiltinModule("node:ffi")
  const long = "int64"
  const syscall = new ffi.DynamicLibrary(null).getFunction("syscall", {
    return: long,
    arguments: [long, long, long, long, long],
  }) as (...values: ReadonlyArray<bigint>) => bigint
  const number = calls[process.arch]!
  const attributes = Buffer.alloc(attributesBytes)
  const pointer = ffi.getRawPointer(attributes)
  // What the kernel was started with is what is usual.
  const own = syscall(number + 1n, 0n, pointer, BigInt(attributesBytes), 0n)
  const usual = own === 0n ? attributes.readUInt32LE(4) : SCHED_OTHER
  return (thread: number, rank: Rank): void => {
    attributes.fill(0)
    attributes.writeUInt32LE(attributesBytes, 0)
    attributes.writeUInt32LE(rank === "last" ? SCHED_BATCH : usual, 4)
    attributes.writeInt32LE(niceness[rank], 16)
    attributes.writeBigUInt64LE(slice[rank], 24)
    if (syscall(number, BigInt(thread), pointer, 0n, 0n) !== 0n) throw new Error("not permitted")
  }
}

const scheduler = (): ((thread: number, rank: Rank) => void) => {
  const byNiceness = (thread: number, rank: Rank) => setPriority(thread, niceness[rank])
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
