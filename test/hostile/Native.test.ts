/**
 * With permissions and realm taken away, and without another user: bubblewrap alone and the seal
 * alone each keep a program with all of Node from everything outside its box (promise 6).
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createSocket, type Socket } from "node:dgram"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { afterAll, assert, beforeAll, describe, it } from "vitest"

import { spawnCommand } from "../../plugins/boxes/Command.ts"
import { Enclosure, findTools, type Level } from "../../plugins/boxes/Enclosure.ts"
import { callNames, callProgram, nodePrograms, type Program } from "./Programs.ts"

const secret = "canary-51f0"
const timeoutMs = 20_000
const tools = findTools()

const directory = mkdtempSync(join(tmpdir(), "solo-native-"))
const file = join(directory, "canary")
const fresh = join(directory, "fresh")
const socket = join(directory, "socket")
const abstract = `solo-native-${process.pid}`
let mode = 0
let connections = 0
let servers: ReadonlyArray<Server> = []
let udp: Socket
let victim: ChildProcess
let target: object

const listening = async (where: number | string): Promise<Server> => {
  const server = createServer((client) => {
    connections++
    client.destroy()
  })
  if (typeof where === "number") server.listen(where, "127.0.0.1")
  else server.listen(where)
  await once(server, "listening")
  return server
}

beforeAll(async () => {
  writeFileSync(file, secret, { mode: 0o666 })
  mode = statSync(file).mode
  process.env["CANARY"] = secret
  victim = spawn("sleep", ["600"], { stdio: "ignore" })
  servers = await Promise.all([listening(0), listening(socket), listening(`\0${abstract}`)])
  udp = createSocket("udp4").bind(0, "127.0.0.1")
  udp.on("message", () => connections++)
  await once(udp, "listening")
  const { port } = servers[0]!.address() as AddressInfo
  const pid = victim.pid
  target = {
    file,
    fresh,
    port,
    socket,
    abstract,
    pid,
    parent: process.pid,
    udp: udp.address().port,
    inspector: 0,
  }
})

afterAll(() => {
  victim.kill("SIGKILL")
  for (const server of servers) server.close()
  udp.close()
  rmSync(directory, { recursive: true, force: true })
})

const inside = (file: string) =>
  JSON.stringify(fileURLToPath(new URL(`../../plugins/boxes/inside/${file}`, import.meta.url)))
const seal = `require(${inside("Seal.ts")}).seal(require(${inside("Library.ts")}).tryLibrary(), { dataBytes: 0, leashed: true, walls: true })`

/** Without bubblewrap the program is sealed first, as the runner is. */
const scriptOf = ({ body }: Program, level: Level): string => `
  const fs = require('node:fs'), net = require('node:net'); require('node:ffi')
  const target = JSON.parse(process.argv.at(-1))
  const say = (text) => { try { fs.writeSync(1, String(text) + '\\n') } catch {} }
  const isSealed = ${level === "sealed"} ? ${seal}.seccomp : true
  say(isSealed ? 'began' : 'NOT SEALED')
  setTimeout(() => process.exit(0), 2000).unref()
  ;(async () => { try { ${body} } catch (error) { say(error.code ?? error.message) } process.exit(0) })()`

const run = async (enclosure: Enclosure, program: Program): Promise<string> => {
  const script = scriptOf(program, enclosure.level)
  const flags = ["--no-warnings", "-e", script, "--", JSON.stringify(target)]
  const child = spawnCommand(enclosure.command(flags, 0))
  child.stdin.end()
  let out = ""
  child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()))
  child.stderr.on("data", (bytes: Buffer) => (out += bytes.toString()))
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs)
  await once(child, "close")
  clearTimeout(timer)
  return out
}

const harm = (out: string): ReadonlyArray<string> => [
  ...(out.includes("began") ? [] : ["it did not run"]),
  ...(out.includes(secret) ? ["the secret came out"] : []),
  ...(out.includes("HARM") ? ["it did what it must not"] : []),
  ...(existsSync(fresh) ? ["a file was written"] : []),
  ...(existsSync(file) && readFileSync(file, "utf8") === secret ? [] : ["the canary was changed"]),
  ...(existsSync(file) && statSync(file).mode !== mode ? ["the canary's mode was changed"] : []),
  ...(connections > 0 ? ["a connection was made"] : []),
  ...(victim.exitCode === null && victim.signalCode === null ? [] : ["the victim was killed"]),
]

const levels: ReadonlyArray<Level> = ["bubblewrap", "sealed"]
describe.each(levels)("%s alone", (level) => {
  const isHere =
    process.platform === "linux" && (level !== "bubblewrap" || tools.bwrap !== undefined)
  it.skipIf(!isHere).each(nodePrograms.map((program) => [program.name, program] as const))(
    "%s",
    async (_, program) => {
      const enclosure = new Enclosure(level, { ...tools, prlimit: undefined }, false)
      try {
        const out = await run(enclosure, program)
        assert.deepStrictEqual(harm(out), [], out)
      } finally {
        enclosure.close()
      }
    },
    2 * timeoutMs,
  )

  it.skipIf(!isHere || process.arch !== "x64")(
    "every call of the system that running does not take is refused",
    async () => {
      const enclosure = new Enclosure(level, { ...tools, prlimit: undefined }, false)
      try {
        const out = await run(enclosure, callProgram)
        assert.deepStrictEqual(harm(out), [], out)
        for (const name of callNames) assert.include(out, `${name} refused`)
      } finally {
        enclosure.close()
      }
    },
    2 * timeoutMs,
  )
})
