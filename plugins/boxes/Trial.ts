/**
 * Finds out which walls really stand on this machine: starts a box of each kind, has it try what a
 * service must not be able to do, and looks from outside at what came of it.
 */
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type AddressInfo, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { spawnCommand } from "./Command.ts"
import type { Enclosure } from "./Enclosure.ts"
import type { Target } from "./inside/Probe.ts"
import type { Seal } from "./inside/Seal.ts"

/** How long a trial may take, in milliseconds. */
const trialTimeoutMs = 10_000
/** What a trial box may print. */
const maxPrinted = 4096

/** How a trial ended. */
export type Verdict =
  /** The box came up; `breaches` names what it could do. */
  | { readonly _tag: "Ran"; readonly breaches: ReadonlyArray<string>; readonly sealed: Seal }
  | { readonly _tag: "Failed"; readonly reason: string }

interface Bait {
  readonly directory: string
  readonly server: Server
  readonly target: Target
  /** What was done to it, as seen from outside. */
  readonly touched: () => ReadonlyArray<string>
}

const layBait = async (seal: boolean): Promise<Bait> => {
  const directory = mkdtempSync(join(tmpdir(), "solo-trial-"))
  chmodSync(directory, 0o777)
  const file = join(directory, "canary")
  const fresh = join(directory, "fresh")
  writeFileSync(file, "canary", { mode: 0o644 })
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.destroy()
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    directory,
    server,
    target: { file, fresh, port, pid: process.pid, seal },
    touched: () => [
      ...(existsSync(fresh) ? ["write"] : []),
      ...(connections > 0 ? ["connect"] : []),
    ],
  }
}

const outputOf = async (child: ChildProcess) => {
  const printed = { out: "", error: "" }
  child.stdout!.on("data", (bytes: Buffer) => (printed.out += bytes.toString()))
  child.stderr!.on("data", (bytes: Buffer) => (printed.error += bytes.toString()))
  child.stdin!.on("error", () => {})
  const timer = setTimeout(() => child.kill("SIGKILL"), trialTimeoutMs)
  try {
    await once(child, "close")
  } finally {
    clearTimeout(timer)
  }
  return printed
}

const runProbe = async (enclosure: Enclosure, script: string, target: Target) => {
  const flags = ["--no-warnings", "-e", script, "--", JSON.stringify(target)]
  return await outputOf(spawnCommand(enclosure.command(flags, 0)))
}

/** Tries a box of `enclosure`. `script` is the bundle of `Probe`. Never rejects. */
export const tryOut = async (enclosure: Enclosure, script: string): Promise<Verdict> => {
  const bait = await layBait(enclosure.level !== "none")
  try {
    const { error, out } = await runProbe(enclosure, script, bait.target)
    if (out === "") {
      const reason = error.trim().split("\n").at(0)?.slice(0, maxPrinted) ?? ""
      return { _tag: "Failed", reason: reason === "" ? "the box did not come up" : reason }
    }
    const { breaches, sealed } = JSON.parse(out) as {
      readonly breaches: ReadonlyArray<string>
      readonly sealed: Seal
    }
    return { _tag: "Ran", breaches: [...new Set([...breaches, ...bait.touched()])], sealed }
  } catch (error) {
    return { _tag: "Failed", reason: (error as Error).message }
  } finally {
    bait.server.close()
    rmSync(bait.directory, { recursive: true, force: true })
  }
}
