/**
 * Runs the kernel in a newer Node than the one that was asked to: the one that the package `node`
 * put into `node_modules`. This file and what it imports must run on Node 20. The child is in a
 * process group of its own and gets each signal once, from here; when this process dies, the child
 * sees the channel close and stops gracefully.
 */
import { spawn } from "node:child_process"
import { accessSync, constants, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { constants as systemConstants } from "node:os"
import { dirname, join } from "node:path"

import { handoverVariable, stopSignals } from "./Signals.ts"

/** The oldest Node that Solo runs on. */
const minimumMajor = 26

const majorOf = (version: string): number => Number.parseInt(version, 10)

/** Whether `version`, such as `26.1.0`, is new enough. */
export const isSupported = (version: string): boolean => majorOf(version) >= minimumMajor

/** The path of a Node that is new enough, found from the module `from`; `undefined` if none is. */
const findNode = (from: string): string | undefined => {
  try {
    const manifest = createRequire(from).resolve("node/package.json")
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }
    const path = join(dirname(manifest), "bin", process.platform === "win32" ? "node.exe" : "node")
    accessSync(path, constants.X_OK)
    return isSupported(version) ? path : undefined
  } catch {
    return undefined
  }
}

const advice = (): string =>
  `solo needs Node ${minimumMajor} or newer, this is ${process.version}, and node_modules has no newer one: run "npm install" where package.json is, or install Node ${minimumMajor}`

const giveUp = (line: string): never => {
  process.stderr.write(`${line}\n`)
  process.exit(1)
}

/** Ends this process the way the child ended. */
const endLike = (code: number | null, signal: NodeJS.Signals | null): void => {
  if (signal === null) process.exit(code ?? 1)
  for (const name of stopSignals) process.removeAllListeners(name)
  process.kill(process.pid, signal)
  // Still here: the signal is one that Node survives.
  setTimeout(() => process.exit(128 + systemConstants.signals[signal]), 1000)
}

/** Starts `script` with this process's arguments in a newer Node, and ends as that one ends. */
export const handOver = (script: string): void => {
  if (process.env[handoverVariable] !== undefined) {
    giveUp(
      `solo: the Node in node_modules is ${process.version}, older than it says; run "npm install" again`,
    )
  }
  const node = findNode(script) ?? giveUp(advice())
  const child = spawn(node, [...process.execArgv, script, ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    detached: true,
    env: { ...process.env, [handoverVariable]: "1" },
  })
  // Signals that come before the child listens would end it by default: they wait.
  const waiting: Array<NodeJS.Signals> = []
  let isListening = false
  child.once("message", () => {
    isListening = true
    for (const signal of waiting) child.kill(signal)
  })
  for (const signal of stopSignals) {
    process.on(signal, () => {
      if (isListening) child.kill(signal)
      else waiting.push(signal)
    })
  }
  child.once("error", (error) => giveUp(`solo: ${node} does not start: ${error.message}`))
  child.once("exit", endLike)
}
