/**
 * Loaded into a kernel's process before the kernel (`node --import`): watches the statements it
 * gives SQLite and the files it renames, and kills the process with SIGKILL in the midst of the one
 * that `TEST_TRAP` describes. It leaves a file behind that says so, and changes nothing else. It
 * also says when a connection commits without syncing, which no kill could show.
 */
import { existsSync, writeFileSync } from "node:fs"
import files from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { isMainThread } from "node:worker_threads"

import type { Trap } from "../Traps.ts"

type Method = (this: unknown, ...args: Array<unknown>) => unknown

const die = (trap: Trap, what: string): void => {
  writeFileSync(trap.sprung, what)
  process.kill(process.pid, "SIGKILL")
  // The signal is on its way; nothing may happen until it arrives.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

const shown = (_: string, value: unknown): unknown =>
  value instanceof Uint8Array ? "bytes" : typeof value === "bigint" ? String(value) : value

/** Below this SQLite does not sync its write-ahead log before a commit is reported. */
const synchronousFull = 2

/** Says so when transactions begin on a connection that does not sync them. */
const watchSyncing = (trap: Trap): void => {
  const prepare = DatabaseSync.prototype.prepare
  DatabaseSync.prototype.prepare = function (sql: string) {
    if (/^\s*(BEGIN|COMMIT)/i.test(sql)) {
      const level = prepare.call(this, "PRAGMA synchronous").get()?.["synchronous"]
      if (Number(level) < synchronousFull) writeFileSync(`${trap.sprung}.unsynced`, String(level))
    }
    return prepare.call(this, sql)
  }
}

const arm = (trap: Trap): void => {
  const statement = new RegExp(trap.statement, "i")
  const values = new RegExp(trap.values ?? "")
  let left = trap.nth
  let isWaiting = false
  const isArmed = () => trap.armed === undefined || existsSync(trap.armed)

  /** Surrounds one thing that the kernel does. */
  const around = (what: string, args: Array<unknown>, work: () => unknown): unknown => {
    const isCommit = /^\s*COMMIT/i.test(what)
    const meets = isArmed() && statement.test(what) && values.test(JSON.stringify(args, shown))
    const isHere = meets && --left === 0
    if (isHere && trap.when === "before") die(trap, what)
    if (isCommit && isWaiting && trap.when === "before commit") die(trap, what)
    const result = work()
    if (isHere && trap.when === "after") {
      // What only promises to be done is not done yet.
      if (result instanceof Promise) return result.finally(() => die(trap, what))
      die(trap, what)
    }
    if (isCommit && isWaiting) die(trap, what)
    if (isHere) isWaiting = true
    return result
  }

  const wrap = (owner: object, name: string, describe: (self: never, first: unknown) => string) => {
    const original = Reflect.get(owner, name) as Method
    const replacement: Method = function (...args) {
      return around(describe(this as never, args[0]), args, () => original.apply(this, args))
    }
    Reflect.set(owner, name, replacement)
  }
  for (const name of ["all", "run", "get", "iterate"]) {
    wrap(StatementSync.prototype, name, (self: StatementSync) => self.sourceSQL)
  }
  wrap(DatabaseSync.prototype, "exec", (_, sql) => String(sql))
  wrap(DatabaseSync.prototype, "close", () => "CLOSE")
  wrap(files, "rename", () => "RENAME")
  syncBuiltinESMExports()
}

const described = process.env["TEST_TRAP"]
if (described !== undefined && isMainThread) {
  const trap = JSON.parse(described) as Trap
  watchSyncing(trap)
  arm(trap)
}
