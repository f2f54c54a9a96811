/**
 * A backup taken of a kernel at work, and killed now and then: what is there under its name is
 * whole and holds what was acknowledged before it began, or there is nothing of that name.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"

import { spawnKernel } from "../KernelProcess.ts"
import { live, type Setting, sleep } from "./Run.ts"

/** Begins a backup to `path`, kills it if told to, and answers whether there is one. */
export const takeBackup = async (
  setting: Setting,
  path: string,
  killAfterMs: number | undefined,
): Promise<boolean> => {
  const { figures } = setting
  const child = live(spawnKernel(setting, ["backup", path]), setting)
  let output = ""
  child.stdout!.on("data", (data: Buffer) => (output += String(data)))
  child.stderr!.on("data", (data: Buffer) => (output += String(data)))
  const closed = new Promise<string>((resolve) =>
    child.once("close", (code, by) => resolve(String(by ?? code))),
  )
  if (killAfterMs !== undefined) {
    await Promise.race([closed, sleep(killAfterMs)])
    const where = existsSync(`${path}.partial`) ? "in backup" : "around a backup"
    if (child.exitCode === null && child.kill("SIGKILL")) figures.count(`kills: ${where}`)
  }
  const outcome = await closed
  if (outcome === "0") figures.count("backups")
  else if (outcome !== "SIGKILL") figures.lose(1, `a backup ended with ${outcome}: ${output}`)
  if (outcome === "0" && !existsSync(path))
    figures.lose(1, "a backup ended with 0 and is not there")
  return existsSync(path)
}

const keys = ["master-key", "root-token"] as const

/** The keys of a data directory, by the name of their file. */
export const keysOf = (dataDir: string): ReadonlyArray<string> =>
  keys.map((name) => readFileSync(join(dataDir, name), "utf8"))

/** Makes a data directory of a backup and the keys it needs. */
export const unpack = (path: string, keyTexts: ReadonlyArray<string>, to: string): void => {
  mkdirSync(to, { recursive: true, mode: 0o700 })
  renameSync(path, join(to, "solo.db"))
  for (const [index, name] of keys.entries()) {
    writeFileSync(join(to, name), keyTexts[index]!, { mode: 0o600 })
  }
}
