/**
 * The entry of a trial box: tries what a service must not be able to do, without the permission
 * system and without a realm, so that only the walls around the process can stop it.
 */
import { spawnSync } from "node:child_process"
import { readFileSync, readdirSync, writeFileSync, writeSync } from "node:fs"
import { connect } from "node:net"

import { tryLibrary } from "./Library.ts"
import { seal } from "./Seal.ts"

/** What to try it on. */
export interface Target {
  /** A file that anybody may read, and one beside it that anybody might make. */
  readonly file: string
  readonly fresh: string
  /** A port on the loopback interface that listens. */
  readonly port: number
  readonly pid: number
  /** Whether to seal the process first. */
  readonly seal: boolean
}

/** How long a connection may take before it counts as refused. */
const connectTimeoutMs = 500

const target = JSON.parse(process.argv.at(-1)!) as Target

const attempts: Readonly<Record<string, () => unknown>> = {
  read: () => readFileSync(target.file),
  write: () => writeFileSync(target.fresh, ""),
  root: () => writeFileSync("/fresh", ""),
  list: () => readdirSync("/proc/1"),
  signal: () => process.kill(target.pid, 0),
  execute: () => {
    const { error, status } = spawnSync(process.execPath, ["-e", "0"])
    if (error !== undefined || status !== 0) throw error ?? new Error("failed")
  },
}

const succeeds = (attempt: () => unknown): boolean => {
  try {
    attempt()
    return true
  } catch {
    return false
  }
}

const sealed = seal(tryLibrary(), { dataBytes: 0, leashed: true, walls: target.seal })
const breaches = Object.keys(attempts).filter((name) => succeeds(attempts[name]!))

const report = (isConnected: boolean): void => {
  const all = isConnected ? [...breaches, "connect"] : breaches
  writeSync(1, JSON.stringify({ sealed, breaches: all }))
  process.exit(0)
}

try {
  const socket = connect(target.port, "127.0.0.1")
  socket.once("connect", () => report(true))
  socket.once("error", () => report(false))
  setTimeout(() => report(false), connectTimeoutMs)
} catch {
  report(false)
}
